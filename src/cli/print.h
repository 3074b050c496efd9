/* print - what commands print. */
#ifndef ST_CLI_PRINT_H
#define ST_CLI_PRINT_H

#include <stdio.h>

#include "domain/key.h"
#include "subtoken/policy.h"

/* `subtoken COMMAND: text` to standard error; the answer is code. */
int st_print_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text that may come from anybody, to a terminal: control characters are escaped. */
void st_print_text(FILE *out, subtoken_text text);

/* The same as a JSON string, with its quotes. */
void st_print_json(FILE *out, subtoken_text text);
void st_print_time(FILE *out, int64_t seconds);

/* What was made with what has ended or been disabled, for others; nothing when there is none. */
void st_print_made(const st_derived *made);

/* {"ok":true,"sequence":7,"made":{...}} and the end of the line. */
void st_print_change_json(int64_t sequence, const st_derived *made);

/* A line above the rows of a list, for who reads it on a terminal; a program in a pipe gets the
 * rows alone. */
void st_print_heading(const char *heading);

/* What was printed has reached its file, or the exit code says that it has not. */
int st_print_flush(int code);

/* `FILE:LINE:COLUMN: text` to standard error, as compilers say it, so that editors find the
 * place. */
void st_print_policy_error(const char *path, const subtoken_policy_error *error);

#endif
