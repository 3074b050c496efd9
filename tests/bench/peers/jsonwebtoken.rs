//! The jsonwebtoken crate: key and Validation once, claims into a struct. What the
//! program reads and prints is in peer.h.
use jsonwebtoken::{decode, Algorithm, DecodingKey, Validation};
use std::io::{BufRead, Write};
use std::time::Instant;

#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Claims {
    sub: String,
    iat: u64,
    exp: u64,
    permissions: Vec<String>,
    urls: Option<Vec<String>>,
}

fn die(what: &str) -> ! {
    eprintln!("{}", what);
    std::process::exit(1)
}

fn changed(token: &str) -> String {
    let at = token.len() - 6;
    let other = if &token[at..at + 1] == "A" { "B" } else { "A" };
    format!("{}{}{}", &token[..at], other, &token[at + 1..])
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() != 3 {
        die("usage: PROGRAM TOKENFILE SECRETFILE");
    }
    let text = std::fs::read_to_string(&args[1]).unwrap_or_else(|_| die("no token file"));
    let tokens: Vec<String> = text.lines().map(String::from).collect();
    let secret = std::fs::read(&args[2]).unwrap_or_else(|_| die("no secret"));
    let key = DecodingKey::from_secret(&secret);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    let verify = |token: &str| match decode::<Claims>(token, &key, &validation) {
        Ok(data) => !data.claims.sub.is_empty(),
        Err(_) => false,
    };
    if verify(&changed(&tokens[0])) {
        die("accepts a changed signature");
    }
    let mut at = 0;
    for line in std::io::stdin().lock().lines() {
        let n: Option<u64> = line.ok().and_then(|l| l.trim().parse().ok());
        let began = Instant::now();
        for _ in 0..n.unwrap_or_else(|| die("no number")) {
            if !verify(&tokens[at]) {
                die("refuses a good token");
            }
            at += 1;
            if at == tokens.len() {
                at = 0;
            }
        }
        println!("{}", began.elapsed().as_nanos());
        std::io::stdout().flush().unwrap();
    }
}
