/* terminal - standard input and what is typed. */
#ifndef ST_OS_TERMINAL_H
#define ST_OS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* All of standard input, at most size bytes. */
bool st_terminal_read_stdin(void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Is standard input a terminal? Then st_terminal_ask prints the prompt to standard error and
 * reads a line, without its end, that is not shown while it is typed. A signal that ends the
 * process makes the terminal show again what is typed.
 */
bool st_terminal_is_input(void);

/* And is standard output one? */
bool st_terminal_is_output(void);
bool st_terminal_ask(const char *prompt, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

#endif
