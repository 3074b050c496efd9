/* remote - whom a request comes from: the peer of the connection, or who a trusted proxy says it
 * is. By it callers are told apart in the log, and wrong passwords are slowed.
 */
#ifndef ST_SERVICE_REMOTE_H
#define ST_SERVICE_REMOTE_H

#include "domain/config.h"
#include "service/service.h"

/* A trusted proxy asked for somebody whom it did not name. */
#define ST_REMOTE_UNKNOWN "unknown"

/* The last address in X-Forwarded-For that is not itself a trusted proxy's, without its port; a
 * view of a header or of peer. Several such lines are one list (RFC 9110 section 5.3): a proxy may
 * add one of its own behind what its caller wrote. An element that is no address stands where
 * nothing left of it can be believed: then the caller is ST_REMOTE_UNKNOWN, and not the proxy, who
 * speaks for everybody else as well. Empty elements are none (RFC 9110 section 5.6.1).
 */
subtoken_text st_remote_of(const st_settings *settings, const st_request *request,
                           subtoken_text peer);

#endif
