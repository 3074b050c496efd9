# The gem oauth2 as its page says: client credentials, and a session that is refreshed.
# usage: oauth2.rb URL ID KEY LOGIN. Prints JSON.
require 'json'
require 'oauth2'

url, id, key, login = ARGV
told = {}
client = OAuth2::Client.new(id, key, site: url)

# In the body, its default, and as Basic.
%i[request_body basic_auth].each do |scheme|
  each = OAuth2::Client.new(id, key, site: url, auth_scheme: scheme)
  token = each.client_credentials.get_token(scope: 'account')
  told[scheme] = [token.params['scope'], token.get('/v2/tokeninfo').parsed['permissions'], token.expires?]
  begin
    OAuth2::Client.new(id, 'x', site: url, auth_scheme: scheme).client_credentials.get_token
  rescue OAuth2::Error => e
    told[scheme] += [e.code, e.response.status]
  end
end

token = OAuth2::AccessToken.from_hash(client, JSON.parse(login).merge('expires_at' => Time.now.to_i - 10))
told['expired'] = token.expired?
token = token.refresh!
told['refreshed'] = [token.get('/v2/tokeninfo').parsed['permissions'], token.expired?]
puts JSON.generate(told)
