/* Notes the signals that end a command, for those that have something to remove first: `backup` and
 * `store copy`. The server has signals of its own (cmd_serve.c).
 */
#include "cli/stop_signal.h"

#include <stdbool.h>
#include <stddef.h>

volatile sig_atomic_t st_stop_signal_received;

static void stop_signal_note(int number) {
  st_stop_signal_received = number;
}

void st_stop_signal_catch(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  struct sigaction action = {.sa_handler = stop_signal_note, .sa_flags = SA_RESTART};
  struct sigaction before;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    bool ignored = sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    if (!ignored) (void)sigaction(numbers[i], &action, NULL);
  }
}

void st_stop_signal_raise(void) {
  int number = st_stop_signal_received;
  if (number == 0) return;
  (void)signal(number, SIG_DFL);
  (void)raise(number);
}
