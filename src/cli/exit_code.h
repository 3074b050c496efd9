/* exit_code - the exit codes of every command, as subtoken(1) documents them. */
#ifndef ST_CLI_EXIT_CODE_H
#define ST_CLI_EXIT_CODE_H

enum { ST_EXIT_DONE = 0, ST_EXIT_REFUSED = 1, ST_EXIT_USAGE = 2, ST_EXIT_FAILED = 3 };

#endif
