/* passwords - what the office knows of them; shell/password.h computes. */
#ifndef ST_APP_PASSWORDS_H
#define ST_APP_PASSWORDS_H

#define ST_PHC_MAX 383       /* bytes of a password as it is stored */
#define ST_PASSWORD_MIN 8    /* bytes of a password that is set (NIST SP 800-63B section 5.1.1) */
#define ST_PASSWORD_MAX 1024 /* bytes of a password */

typedef enum st_verdict {
  ST_VERDICT_NONE = 0, /* cannot tell: no memory, or what is stored cannot be read: answer 503 */
  ST_VERDICT_GOOD,
  ST_VERDICT_WRONG,
  ST_VERDICT_BUSY, /* too many wait already: answer 503 with Retry-After */
} st_verdict;

#endif
