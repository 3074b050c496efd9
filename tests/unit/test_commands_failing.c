/* Each command while what it asks of others fails: it ends with a code that the manual knows and
 * says what was wrong, and the next run is as if nothing had been. Each place in the code of a
 * command is met once with SUBTOKEN_FAILING_ALL=1, else one place of each third command. What is
 * kept then: tests/e2e/test_faults_commands.py.
 */
#include "command_fixture.h"
#include "failing.h"

#include "cli/pull_files.h"
#include "core/revocations_format.h"
#include "os/clock.h"

#define KINDS (FAIL_MEMORY | FAIL_FILES | FAIL_PREPARE | FAIL_SQLITE | FAIL_ROWS | FAIL_LIBRARY)
#define PASSWORD "correct horse\n"
#define ACCESS                                                              \
  "{\"permission_map\":[[\"carl\",{\"password_hash_b64\":"                  \
  "\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY=\",\"password_salt_b64\":" \
  "\"INDdM6iCi/8=\",\"allowed_apis\":[\"database_api\"]}]]}"
enum { FEW = 1 }; /* of a command */

static char first[100], second[100], token[5000], victim[5000], first_id[37], second_id[37];

/* ---- what there is ---- */

static void keep(char *to, size_t size) {
  snprintf(to, size, "%s", ran.out);
  to[strcspn(to, "\n")] = '\0';
}

/* A snapshot of one hash and its heartbeat, under the ring of DATA. */
static void make_feed(void) {
  static subtoken_ring ring;
  subtoken_revocations_header header = {.sequence = 4000000000000000, .made = st_clock_now()};
  subtoken_heartbeat heartbeat = {.sequence = header.sequence, .time = st_clock_now() + 60};
  uint64_t hash = 1;
  uint8_t bytes[4096], beat[SUBTOKEN_HEARTBEAT_LEN];
  size_t len = subtoken_revocations_size(1);
  char text[8192];
  read_whole("var/secrets", text, sizeof text);
  assert_int_equal(subtoken_ring_read(&ring, st_text(text), NULL), SUBTOKEN_OK);
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, &hash, 1, bytes, len, heartbeat.digest),
      SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, beat), SUBTOKEN_FEED_OK);
  FILE *file = fopen(in_home("feed"), "wb");
  assert_true(file != NULL && fwrite(bytes, 1, len, file) == len);
  fclose(file);
  file = fopen(in_home("feed.alive"), "wb");
  assert_true(file != NULL && fwrite(beat, 1, sizeof beat, file) == sizeof beat);
  fclose(file);
}

static int set_up(void **state) {
  (void)state;
  if (make_commands_home() != 0) return -1;
  run_well("key create --name first --permissions account,keys", "");
  keep(first, sizeof first);
  memcpy(first_id, first, 36);
  run_well("key create --name second --permissions account --audience eu", "");
  keep(second, sizeof second);
  memcpy(second_id, second, 36);
  run_well("user create alice --permissions account", PASSWORD);
  run_well("secret add --kid winter", "");
  run_well("issue --permissions account", first);
  keep(token, sizeof token);
  run_well("issue --permissions account --urls /v2/account", first);
  keep(victim, sizeof victim);
  put_in_home("policy", "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"needs\":[\"x\"]}]}",
              0600);
  put_in_home("access.json", ACCESS, 0600);
  put_in_home("key", first, 0600);
  return 0;
}

/* ---- the commands ---- */

typedef struct command_case {
  const char *line, *input; /* ID and ID2 stand for the keys' */
  const char *undo;         /* commands with ; between, or @NAME: a file to remove */
  int code, other;          /* what it ends with; other: the second time, 0: the same */
  bool reads;               /* prints the same each time */
} command_case;

static const command_case cases[] = {
    {.line = "version", .reads = true},
    {.line = "completion bash", .reads = true},
    {.line = "key create --name new --permissions account --expires 9d"},
    {.line = "key create --name new --permissions account --json"},
    {.line = "key hash", .input = "a-string-of-my-own-long-enough", .reads = true},
    {.line = "key list", .reads = true},
    {.line = "key list --json --expiring 30d", .reads = true},
    {.line = "key show ID", .reads = true},
    {.line = "key show ID --json", .reads = true},
    {.line = "key disable ID2", .undo = "key enable ID2"},
    {.line = "key rotate ID2 --overlap 24h"},
    {.line = "key delete 00000000-0000-0000-0000-000000000000", .code = 1},
    {.line = "key revoke-subtokens ID2"},
    {.line = "user create carol --permissions account",
     .input = PASSWORD,
     .undo = "user delete carol",
     .other = 1},
    {.line = "user list", .reads = true},
    {.line = "user list --json", .reads = true},
    {.line = "user show alice", .reads = true},
    {.line = "user permissions alice account"},
    {.line = "user passwd alice", .input = PASSWORD},
    {.line = "user disable alice", .undo = "user enable alice"},
    {.line = "user delete nobody", .code = 1},
    {.line = "issue --permissions account --json", .input = first},
    {.line = "issue", .input = token},
    {.line = "verify --url /v2/account --require account", .input = token, .reads = true},
    {.line = "verify --revocations @feed --json", .input = token, .reads = true},
    {.line = "verify --policy @policy --method GET --url /a", .input = token, .code = 1},
    {.line = "inspect", .input = token, .reads = true},
    {.line = "inspect --json", .input = token, .reads = true},
    {.line = "revoke --json", .input = first, .code = 1},
    {.line = "revoke --json", .input = victim},
    {.line = "revoke", .input = victim}, /* it was revoked before */
    {.line = "secret list", .reads = true},
    {.line = "secret list --json", .reads = true},
    {.line = "secret add --kid spring", .undo = "secret retire spring --force", .other = 1},
    {.line = "secret promote winter", .undo = "secret promote -"},
    {.line = "secret rotate --kid autumn --json",
     .undo = "secret promote -;secret retire autumn --force",
     .other = 1},
    {.line = "secret retire winter --force", .undo = "secret add --kid winter", .other = 1},
    {.line = "secret derive --audience eu", .reads = true},
    {.line = "policy check @policy", .reads = true},
    {.line = "saltpass", .input = PASSWORD},
    {.line = "store status --json"},
    {.line = "store status"},
    {.line = "backup @copy.db", .undo = "@copy.db", .other = 3},
    {.line = "store copy --from @var --to @other.db", .undo = "@other.db", .other = 1},
    {.line = "import @access.json", .undo = "user delete carl"},
    {.line = "import @access.json --dry-run", .reads = true},
    {.line = "feed status @feed", .reads = false},
    {.line = "feed restore @feed"},
    {.line = "pull --once --from http://127.0.0.1:1 --key-file @key --to @pulled", .code = 3},
    {.line = "audit --limit 3"},
    {.line = "audit --json --after 0"},
};

/* The line with what ID and ID2 stand for. */
static const char *line_of(const char *text) {
  static char line[600];
  size_t len = 0;
  while (*text != '\0' && len < sizeof line - 40) {
    if (memcmp(text, "ID", 2) != 0) {
      line[len++] = *text++;
      continue;
    }
    bool other = text[2] == '2';
    memcpy(line + len, other ? second_id : first_id, 36);
    len += 36;
    text += other ? 3 : 2;
  }
  line[len] = '\0';
  return line;
}

static const char *input_of(const command_case *c) {
  return c->input != NULL ? c->input : "";
}

static void undo(const command_case *c) {
  char each[200];
  for (const char *at = c->undo; at != NULL && *at != '\0';) {
    size_t len = strcspn(at, ";");
    snprintf(each, sizeof each, "%.*s", (int)len, at);
    if (each[0] == '@') {
      (void)unlink(in_home(each + 1));
    } else {
      (void)run(line_of(each), "");
    }
    at += len + (at[len] == ';');
  }
}

/* Is it a message to people: of the program, with something after the command? */
static bool told(const char *text) {
  return strncmp(text, "subtoken ", 9) == 0 && strchr(text, ':') != NULL;
}

/* A verify whose store does not answer says that it does not know. */
static bool undecided(const command_case *c) {
  return strncmp(c->line, "verify", 6) == 0 && ran.code == 1 &&
         strstr(ran.out, "feed_stale") != NULL;
}

static void check_attempt(const command_case *c, long nth, const char *expected) {
  bool known = ran.code == c->code || (c->other != 0 && ran.code == c->other) || undecided(c);
  CHECK(known || ran.code == 3, "%s, call %ld: code %d: %s", c->line, nth, ran.code, ran.err);
  CHECK(ran.code != 3 || told(ran.err), "%s, call %ld says `%s`", c->line, nth, ran.err);
  CHECK(!(c->reads && ran.code == 0) || strcmp(ran.out, expected) == 0, "%s, call %ld prints %s",
        c->line, nth, ran.out);
}

/* How it goes when nothing fails, and where something could. */
static void find_places(const command_case *c, char *expected, size_t size) {
  memset(places, 0, sizeof *places);
  if (strstr(c->line, "@feed") != NULL) make_feed(); /* nobody vouches for it for long */
  failing_noted = note_place;
  run_failing(line_of(c->line), input_of(c), "stdout", KINDS, 1000000);
  failing_noted = NULL;
  CHECK(ran.code == c->code, "%s: %d: %s", c->line, ran.code, ran.err);
  snprintf(expected, size, "%s", ran.out);
  undo(c);
}

/* What cannot be printed is not done with 0: whoever reads it would take nothing for an answer. */
static void check_full(const command_case *c, bool prints) {
  run_failing(line_of(c->line), input_of(c), "/dev/full", 0, 0);
  CHECK(ran.code == (prints ? 3 : c->code), "%s, to a full disk: %d: %s", c->line, ran.code,
        ran.err);
  CHECK(!prints || told(ran.err), "%s, to a full disk: %s", c->line, ran.err);
  undo(c);
}

static void what_fails_is_said_and_leaves_no_trace(void **state) {
  (void)state;
  static char expected[sizeof ran.out];
  size_t attempts = 0;
  size_t step = (size_t)failing_step(3);
  for (size_t i = step / 2; i < COUNT(cases); i += step) {
    const command_case *c = &cases[i];
    find_places(c, expected, sizeof expected);
    size_t count = places->count, most = step == 1 || count < FEW ? count : FEW;
    for (size_t k = 0; k < most; k++, attempts++) {
      long nth = places->numbers[(2 * k + 1) * count / (2 * most)];
      run_failing(line_of(c->line), input_of(c), "stdout", KINDS, nth);
      check_attempt(c, nth, expected);
      undo(c);
    }
    check_full(c, expected[0] != '\0');
  }
  assert_true(attempts >= COUNT(cases) / 4);
  print_message("# %zu attempts\n", attempts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_fails_is_said_and_leaves_no_trace),
  };
  return cmocka_run_group_tests_name("commands failing", tests, set_up, remove_home);
}
