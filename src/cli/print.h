/* print - what commands print: text and JSON to standard output, errors to standard error. */
#ifndef ST_CLI_PRINT_H
#define ST_CLI_PRINT_H

#include <stdio.h>

#include "domain/key.h"
#include "subtoken/policy.h"

/* `subtoken COMMAND: text` to standard error; the answer is code. */
int st_print_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Untrusted text: control characters, and bytes that are not UTF-8, are escaped as \xNN. */
void st_print_text(FILE *out, subtoken_text text);

/* The same as a JSON string, with its quotes. */
void st_print_json(FILE *out, subtoken_text text);
void st_print_time(FILE *out, int64_t seconds);

/* A key as JSON, without the end of the line; whole: the key itself, or NULL. */
void st_print_key_json(const st_key *key, const char *whole, int64_t now);

/* A list of permissions, joined by commas, as a JSON array of strings. */
void st_print_list_json(FILE *out, const char *list);

/* What was made with a key or user that is now disabled or deleted; nothing when there is none. */
void st_print_made(const st_derived *made);

/* {"ok":true,"sequence":7,"made":{...}} and the end of the line. */
void st_print_change_json(int64_t sequence, const st_derived *made);

/* A line above the rows of a list, on a terminal; in a pipe there are the rows alone. */
void st_print_heading(const char *heading);

/* Flushes standard output: code, or ST_EXIT_FAILED with an error when it cannot be written. */
int st_print_flush(int code);

/* `FILE:LINE:COLUMN: text` to standard error, as compilers print it, so that editors find it. */
void st_print_policy_error(const char *path, const subtoken_policy_error *error);

#endif
