/* commands - every command, a row each, in the order in which `subtoken help` lists them. The
 * function of the command NAME is st_cmd_NAME, in cmd_NAME.c. To add a command, write that file,
 * add its row here, and describe it in man/subtoken.1, which the tests hold against its --help.
 */
#ifndef ST_CLI_COMMANDS_H
#define ST_CLI_COMMANDS_H

// clang-format off
#define ST_COMMANDS(row) \
  row(serve, "run the server") \
  row(key, "make, list, rotate, disable, delete parent keys") \
  row(user, "make, list, change, disable, delete users") \
  row(issue, "make a subtoken from a key or subtoken") \
  row(verify, "verify a token, and name the rule that decided") \
  row(inspect, "decode a token without trusting it") \
  row(revoke, "revoke subtokens, and what was made from them") \
  row(secret, "list, add, promote, rotate, retire, derive signing secrets") \
  row(policy, "check a route policy") \
  row(pull, "keep an edge's revocation data fresh") \
  row(feed, "check the revocation data of an edge, or restore from it") \
  row(saltpass, "hash a password for an access file") \
  row(store, "say how the store is, or copy it into another database") \
  row(backup, "copy the store into a file while it is in use") \
  row(import, "import the users of a Graphene node's access file") \
  row(audit, "print the audit log: who changed what, when, from where") \
  row(completion, "print what completes these commands in a shell") \
  row(version, "print the version, as --version does")
// clang-format on

#define ST_COMMAND_DECLARATION(name, summary) int st_cmd_##name(int argc, char **argv);
ST_COMMANDS(ST_COMMAND_DECLARATION)

/* Of `subtoken secret` and of `subtoken key`, in files of their own. */
int st_cmd_secret_derive(int argc, char **argv);
int st_cmd_key_list(int argc, char **argv);

#endif
