/* endpoints - one function a route of the router's table; to add one, write it and add a row there.
 * Each answers NULL after it has written the whole reply, or the problem, which the router writes.
 */
#ifndef ST_SERVICE_ENDPOINTS_H
#define ST_SERVICE_ENDPOINTS_H

#include "service/context.h"

const st_problem *st_create_subtoken_answer(st_context *c); /* /v2/createsubtoken */
const st_problem *st_preview_answer(st_context *c);         /* /v2/previewsubtoken */
const st_problem *st_whoami_answer(st_context *c);          /* /v2/whoami */
const st_problem *st_token_info_answer(st_context *c);      /* /v2/tokeninfo */
const st_problem *st_keys_answer(st_context *c);            /* /v2/keys */
const st_problem *st_keys_answer_one(st_context *c);        /* /v2/keys/ID... */
const st_problem *st_revocations_answer(st_context *c);     /* /v2/revocations */
const st_problem *st_feed_status_answer(st_context *c);     /* /v2/feed */
const st_problem *st_ring_status_answer(st_context *c);     /* /v2/ring */
const st_problem *st_token_explain_answer(st_context *c);   /* /v2/explain */
const st_problem *st_authorize_answer(st_context *c);       /* /v2/authorize... */
const st_problem *st_audit_log_answer(st_context *c);       /* /v2/audit */
const st_problem *st_users_create(st_context *c);           /* of st_users_answer */
const st_problem *st_users_answer(st_context *c);           /* /v1/user, and to list them */
const st_problem *st_user_one_answer(st_context *c);        /* /v1/user/LOGIN */
const st_problem *st_sessions_log_in(st_context *c);        /* /v1/auth/login */
const st_problem *st_sessions_service(st_context *c);       /* /v1/auth/token */
const st_problem *st_sessions_refresh(st_context *c);       /* /v1/auth/refresh */
const st_problem *st_sessions_log_out(st_context *c);       /* /v1/auth/logout */
const st_problem *st_token_endpoint_answer(st_context *c);  /* /oauth/token */
const st_problem *st_revoke_answer(st_context *c);          /* /oauth/revoke */
const st_problem *st_introspect_answer(st_context *c);      /* /oauth/introspect */
const st_problem *st_metadata_issuer(st_context *c);        /* /.well-known/oauth-a... */
const st_problem *st_metadata_resource(st_context *c);      /* /.well-known/oauth-p... */
const st_problem *st_metadata_authorize(st_context *c);     /* /oauth/authorize */
const st_problem *st_compat_exchange(st_context *c);        /* /m42Services/... */
const st_problem *st_compat_hash(st_context *c);            /* /utils/hash/secure */
const st_problem *st_page_answer(st_context *c);            /* / */
const st_problem *st_page_settings(st_context *c);          /* /page/settings.json */
const st_problem *st_page_answer_part(st_context *c);       /* /page/... */
const st_problem *st_openapi_answer(st_context *c);         /* /openapi.json */
const st_problem *st_health_live(st_context *c);            /* /healthz */
const st_problem *st_health_ready(st_context *c);           /* /readyz */
const st_problem *st_metrics_answer(st_context *c);         /* /metrics */

#endif
