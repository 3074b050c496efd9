/* libpq - loads PostgreSQL's client library when a store on PostgreSQL is opened. A program that
 * is linked to it brings in Kerberos, LDAP and GnuTLS at each start, which then takes 14.3 ms of a
 * processor instead of 3.8 (medians of 200).
 *
 * The functions of libpq-fe.h that this folder calls are defined in libpq.c, and hand on to the
 * library. None may be called before st_postgres_load_library has succeeded.
 */
#ifndef ST_STORE_POSTGRES_LIBPQ_H
#define ST_STORE_POSTGRES_LIBPQ_H

#include <stdbool.h>

/* Loads it once, for the life of the process: it leaves threads and handlers behind that do not
 * outlive it. Any thread. error (ST_ERROR_MAX bytes): what is missing, and Debian's package; the
 * next call tries again.
 */
bool st_postgres_load_library(char *error);

#endif
