// golang-jwt: one parser that takes HS256 only, claims into a struct. What the
// program reads and prints is in peer.h.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt"
)

type claims struct {
	Permissions []string `json:"permissions"`
	URLs        []string `json:"urls"`
	jwt.RegisteredClaims
}

var parser = jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}))
var secret []byte

func key(*jwt.Token) (interface{}, error) { return secret, nil }

// A token without exp is good for golang-jwt, so that is looked at too.
func verify(token string) bool {
	parsed, err := parser.ParseWithClaims(token, &claims{}, key)
	if err != nil || !parsed.Valid {
		return false
	}
	c := parsed.Claims.(*claims)
	return c.ExpiresAt != nil && c.Subject != ""
}

func die(what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

func changed(token string) string {
	at, other := len(token)-6, "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

func main() {
	if len(os.Args) != 3 {
		die("usage: PROGRAM TOKENFILE SECRETFILE")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		die("no token file")
	}
	tokens := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if secret, err = os.ReadFile(os.Args[2]); err != nil {
		die("no secret")
	}
	if verify(changed(tokens[0])) {
		die("accepts a changed signature")
	}
	at := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			die("no number")
		}
		began := time.Now()
		for i := 0; i < n; i++ {
			if !verify(tokens[at]) {
				die("refuses a good token")
			}
			if at++; at == len(tokens) {
				at = 0
			}
		}
		fmt.Println(time.Since(began).Nanoseconds())
	}
}
