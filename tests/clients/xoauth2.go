// golang.org/x/oauth2 as its pages say: client credentials, for an audience too, and a session that
// refreshes itself. The package has nothing for revocation and introspection.
//
// usage: xoauth2 URL ID KEY REFRESH_TOKEN. Prints JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func permissions(client *http.Client, address string) []string {
	answer, err := client.Get(address + "/v2/tokeninfo")
	must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(err)
	var info struct{ Permissions []string }
	must(json.Unmarshal(text, &info))
	return info.Permissions
}

func main() {
	address, id, key, refresh := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	ctx := context.Background()
	told := map[string]interface{}{}
	styles := map[string]oauth2.AuthStyle{"header": oauth2.AuthStyleInHeader,
		"params": oauth2.AuthStyleInParams, "detect": oauth2.AuthStyleAutoDetect}
	for name, style := range styles {
		config := clientcredentials.Config{ClientID: id, ClientSecret: key,
			TokenURL: address + "/oauth/token", Scopes: []string{"account"}, AuthStyle: style}
		told[name] = permissions(config.Client(ctx), address)
	}
	config := clientcredentials.Config{ClientID: id, ClientSecret: key,
		TokenURL: address + "/oauth/token", EndpointParams: url.Values{"audience": {"eu"}}}
	token, err := config.Token(ctx)
	must(err)
	told["audience"] = token.AccessToken
	told["scope"] = token.Extra("scope")
	told["valid"] = token.Valid() && time.Until(token.Expiry) > 10*time.Second

	config.ClientSecret = "x"
	config.AuthStyle = oauth2.AuthStyleInHeader
	_, err = config.Token(ctx)
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		log.Fatal("a wrong secret: ", err)
	}
	told["wrong"] = refused.Response.StatusCode

	user := oauth2.Config{ClientID: id, ClientSecret: key,
		Endpoint: oauth2.Endpoint{TokenURL: address + "/oauth/token"}}
	over := &oauth2.Token{AccessToken: "over", RefreshToken: refresh, Expiry: time.Now().Add(-time.Minute)}
	source := user.TokenSource(ctx, over)
	told["refreshed"] = permissions(oauth2.NewClient(ctx, source), address)
	again, err := source.Token()
	must(err)
	told["kept"] = again.RefreshToken != refresh && again.Valid()
	must(json.NewEncoder(os.Stdout).Encode(told))
}
