/* pull_metrics - what `subtoken pull --metrics-listen` tells: how fresh the files are, and what
 * came of its rounds.
 */
#ifndef ST_CLI_PULL_METRICS_H
#define ST_CLI_PULL_METRICS_H

#include "cli/pull_round.h"
#include "operations/exposition.h"

/* Before the first round. */
void st_pull_metrics_start(const st_pull_files *files);

/* After each round: what came of it, and the files as they are then. server: the place among the
 * URLs of the one that is asked first now.
 */
void st_pull_metrics_note(st_pull_outcome outcome, const st_pull_files *files);
void st_pull_metrics_note_server(size_t server);

/* Any thread may ask. e is empty but for its format, and is not ended. */
void st_pull_metrics_write(st_exposition *e);

#endif
