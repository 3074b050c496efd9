/*
 * civetweb.c includes this in place of its own access log, which NO_FILESYSTEMS
 * leaves out (-DMG_EXTERNAL_FUNCTION_log_access). src/server/access_log.c writes our line.
 */
static void
log_access(const struct mg_connection *conn)
{
	(void)conn;
}
