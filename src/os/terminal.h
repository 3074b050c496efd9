/* terminal - standard input and what is typed. */
#ifndef ST_OS_TERMINAL_H
#define ST_OS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* All of standard input, at most size bytes. */
bool st_world_stdin(void *out, size_t size, size_t *len, char *why)
    __attribute__((warn_unused_result));

/* Is standard input a terminal? Then st_world_ask prints the prompt to standard error and
 * reads a line, without its end, that is not shown while it is typed. A signal that ends the
 * process makes the terminal show again what is typed.
 */
bool st_world_terminal(void);

/* And is standard output one? */
bool st_world_output_terminal(void);
bool st_world_ask(const char *prompt, void *out, size_t size, size_t *len, char *why)
    __attribute__((warn_unused_result));

#endif
