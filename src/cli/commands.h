/* commands - a function for each command, in the file of its name. */
#ifndef ST_CLI_COMMANDS_H
#define ST_CLI_COMMANDS_H

int st_cmd_serve(int argc, char **argv);
int st_cmd_key(int argc, char **argv);
int st_cmd_issue(int argc, char **argv);
int st_cmd_verify(int argc, char **argv);
int st_cmd_inspect(int argc, char **argv);
int st_cmd_secret(int argc, char **argv);
int st_cmd_backup(int argc, char **argv);
int st_cmd_policy(int argc, char **argv);
int st_cmd_pull(int argc, char **argv);
int st_cmd_feed(int argc, char **argv);
int st_cmd_revoke(int argc, char **argv);
int st_cmd_user(int argc, char **argv);
int st_cmd_audit(int argc, char **argv);
int st_cmd_import(int argc, char **argv);
int st_cmd_saltpass(int argc, char **argv);

#endif
