"""requests-oauthlib as its page says: the backend application workflow, and tokens that refresh themselves.
usage: requests_oauthlib.py URL ID KEY LOGIN (a login's answer, JSON). Prints JSON."""
import json, sys, time
from importlib import import_module

sys.path.pop(0)  # this file has the library's name
BackendApplicationClient = import_module("oauthlib.oauth2").BackendApplicationClient
OAuth2Session = import_module("requests_oauthlib").OAuth2Session
HTTPBasicAuth = import_module("requests.auth").HTTPBasicAuth
InvalidClientError = import_module("oauthlib.oauth2").InvalidClientError

url, client_id, client_secret, login = sys.argv[1:5]
token_url, info = url + "/oauth/token", url + "/v2/tokeninfo"
told = {}

# Backend application flow, with the secret in the body and as Basic.
oauth = OAuth2Session(client=BackendApplicationClient(client_id=client_id))
token = oauth.fetch_token(token_url=token_url, client_id=client_id, client_secret=client_secret,
                          include_client_id=True)
told["body"] = [token["scope"], oauth.get(info).json()["permissions"]]
auth = HTTPBasicAuth(client_id, client_secret)
oauth = OAuth2Session(client=BackendApplicationClient(client_id=client_id, scope=["account"]))
token = oauth.fetch_token(token_url=token_url, auth=auth)
told["basic"] = [token["scope"], oauth.get(info).json()["permissions"]]

# Revoked, by the request that oauthlib prepares.
where, headers, body = oauth._client.prepare_token_revocation_request(url + "/oauth/revoke", token["access_token"])
answer = import_module("requests").post(where, headers=headers, data=body)
told["revoked"] = [answer.status_code, answer.json(), oauth.get(info).status_code]

try:
    OAuth2Session(client=BackendApplicationClient(client_id=client_id)).fetch_token(
        token_url=token_url, auth=HTTPBasicAuth(client_id, "x"))
except InvalidClientError as error:
    told["wrong"] = error.status_code

# A token that has expired refreshes itself, and the new one is kept.
kept = []
token = dict(json.loads(login), expires_in=-30, expires_at=time.time() - 30)
client = OAuth2Session(client_id, token=token, auto_refresh_url=token_url,
                       auto_refresh_kwargs={"client_id": client_id, "client_secret": client_secret},
                       token_updater=kept.append)
told["refreshed"] = client.get(info).json()["permissions"]
told["kept"] = [len(kept), kept[0]["refresh_token"] != token["refresh_token"], kept[0]["expires_in"] > 0]
print(json.dumps(told))
