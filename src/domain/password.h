/* password - what checking or hashing a password can answer, and what a stored one may be. The work
 * is done in operations/password.c; the service gets the answers by the port in domain/user.h.
 */
#ifndef ST_DOMAIN_PASSWORD_H
#define ST_DOMAIN_PASSWORD_H

#define ST_PHC_MAX 383       /* bytes of a stored password */
#define ST_PASSWORD_MIN 8    /* bytes of a password that is set (NIST SP 800-63B section 5.1.1) */
#define ST_PASSWORD_MAX 1024 /* bytes of a password */
#define ST_SALT_MAX 64       /* bytes of the salt of an imported one */

typedef enum st_password_status {
  ST_PASSWORD_FAILED = 0, /* no memory, or a stored text that cannot be read: 503 */
  ST_PASSWORD_OK,         /* it is the password; or it has been hashed */
  ST_PASSWORD_WRONG,
  ST_PASSWORD_BUSY, /* too many wait already: 503 with Retry-After */
} st_password_status;

#endif
