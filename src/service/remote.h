/* remote - the address that a request comes from: that of the connection's peer, or the one that a
 * trusted proxy forwards. The log and the throttle tell callers apart by it.
 */
#ifndef ST_SERVICE_REMOTE_H
#define ST_SERVICE_REMOTE_H

#include "domain/config.h"
#include "service/service.h"

/* A trusted proxy forwarded a request without a usable address. */
#define ST_REMOTE_UNKNOWN "unknown"

/* The last address in X-Forwarded-For that is not itself a trusted proxy's, without its port; a
 * view of a header or of peer. Several such lines are one list (RFC 9110 section 5.3): a proxy may
 * add one of its own behind what its caller wrote. Of an element that is no
 * address nothing to its left can be trusted: then the answer is ST_REMOTE_UNKNOWN, not the proxy's
 * own address, which stands for all of its callers. Empty elements are skipped (RFC 9110
 * section 5.6.1).
 */
subtoken_text st_remote_of(const st_settings *settings, const st_request *request,
                           subtoken_text peer);

#endif
