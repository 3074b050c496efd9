/* terminal - standard input, and whether a person sits there. */
#ifndef ST_OS_TERMINAL_H
#define ST_OS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* All of standard input, at most size bytes. */
bool st_terminal_read_stdin(void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Is standard input, or standard output, a terminal? */
bool st_terminal_is_input(void);
bool st_terminal_is_output(void);

/* Print the prompt to standard error and read a line from the terminal, without its end, with echo
 * off. A signal that ends the process turns the echo on again.
 */
bool st_terminal_ask(const char *prompt, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

#endif
