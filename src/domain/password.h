/* passwords - what checking a password can answer, and what a stored one may be. The work
 * is the shell's (shell/password.h), which hands its answers to the office.
 */
#ifndef ST_DOMAIN_PASSWORD_H
#define ST_DOMAIN_PASSWORD_H

#define ST_PHC_MAX 383       /* bytes of a stored password */
#define ST_PASSWORD_MIN 8    /* bytes of a password that is set (NIST SP 800-63B section 5.1.1) */
#define ST_PASSWORD_MAX 1024 /* bytes of a password */
#define ST_SALT_MAX 64       /* bytes of the salt of an imported one */

typedef enum st_verdict {
  ST_VERDICT_NONE = 0, /* could not tell: no memory, or a stored text that cannot be read: 503 */
  ST_VERDICT_GOOD,
  ST_VERDICT_WRONG,
  ST_VERDICT_BUSY, /* too many wait already: 503 with Retry-After */
} st_verdict;

#endif
