/* terminal - standard input and output, whether a person sits there, and how wide what is shown is.
 */
#ifndef ST_OS_TERMINAL_H
#define ST_OS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of standard input, at most size bytes. */
bool st_terminal_read_stdin(void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Is standard input, or standard output, a terminal? */
bool st_terminal_is_input(void);
bool st_terminal_is_output(void);

/* Before a change whose answer is printed once: can so many bytes be written to standard output? Of
 * a file they are allocated; of a pipe it is known whether anybody reads it, of a device only that
 * it is open. What becomes known when it is written is an error of that write from then on, and not
 * the end of the process. */
bool st_terminal_reserve_output(size_t len, char *error) __attribute__((warn_unused_result));

/* Writes what stdio still holds of standard output. false, with the reason in error: some of what
 * was printed since the program began is lost. */
bool st_terminal_flush_output(char *error) __attribute__((warn_unused_result));

/* How many columns standard output has; 0: it is no terminal, or that is not known. */
size_t st_terminal_width(void);

/* How many columns a character takes: 0 when it is shown upon the one before, 2 for most of East
 * Asia. 1 where the C library does not know. */
size_t st_terminal_columns_of(uint32_t code);

/* Print the prompt to standard error and read a line from the terminal, without its end, with echo
 * off. A signal that ends the process turns the echo on again.
 */
bool st_terminal_ask(const char *prompt, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

#endif
