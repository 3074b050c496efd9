"""Authlib's OAuth2Session as its page says: grants, tokens that refresh themselves, introspection, revocation.
usage: authlib.py URL ID KEY LOGIN ASKER_ID ASKER_KEY. Prints JSON."""
import json, sys, time
from importlib import import_module

sys.path.pop(0)  # this file has the library's name
OAuth2Session = import_module("authlib.integrations.requests_client").OAuth2Session

url, client_id, client_secret, login, asker_id, asker_secret = sys.argv[1:7]
token_endpoint, info = url + "/oauth/token", url + "/v2/tokeninfo"
told = {}

for method in ("client_secret_basic", "client_secret_post"):
    client = OAuth2Session(client_id, client_secret, scope="account", token_endpoint_auth_method=method)
    token = client.fetch_token(token_endpoint, grant_type="client_credentials")
    asking = OAuth2Session(asker_id, asker_secret, introspection_endpoint_auth_method=method,
                           token_endpoint_auth_method=method)
    before = asking.introspect_token(url + "/oauth/introspect", token=token["access_token"]).json()
    permissions = client.get(info).json()["permissions"]
    revoked = client.revoke_token(url + "/oauth/revoke", token=token["access_token"])
    after = asking.introspect_token(url + "/oauth/introspect", token=token["access_token"]).json()
    told[method] = [token["scope"], permissions, before["active"], before["client_id"], revoked.status_code, after]

# Authlib fetches a new token of client credentials by itself, and refreshes a session by itself.
kept = []
client = OAuth2Session(client_id, client_secret, token_endpoint=token_endpoint, grant_type="client_credentials",
                       update_token=lambda token, refresh_token=None, access_token=None: kept.append(token),
                       token=dict(token, expires_at=int(time.time()) - 10))
told["again"] = [client.get(info).json()["permissions"], len(kept)]
token = dict(json.loads(login), expires_at=int(time.time()) - 10)
client = OAuth2Session(client_id, client_secret, token_endpoint=token_endpoint, token=token,
                       update_token=lambda token, refresh_token=None, access_token=None: kept.append((token, refresh_token)))
told["refreshed"] = [client.get(info).json()["permissions"], kept[1][1] == token["refresh_token"]]
client.revoke_token(url + "/oauth/revoke", token=kept[1][0]["refresh_token"], token_type_hint="refresh_token")
told["ended"] = client.get(info).status_code
print(json.dumps(told))
