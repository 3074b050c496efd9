/*
 * civetweb.c includes this in place of its own error log, which NO_FILESYSTEMS
 * leaves out (-DMG_EXTERNAL_FUNCTION_mg_cry_internal_impl). Same as there, less
 * the log file: the message goes to the log_message callback and nowhere else.
 */
static void
mg_cry_internal_impl(const struct mg_connection *conn, const char *func, unsigned line,
		     const char *fmt, va_list ap)
{
	char message[512];

	(void)func;
	(void)line;
	if (conn == NULL || conn->phys_ctx->callbacks.log_message == NULL)
		return;
	(void)vsnprintf(message, sizeof message, fmt, ap);
	(void)conn->phys_ctx->callbacks.log_message(conn, message);
}
