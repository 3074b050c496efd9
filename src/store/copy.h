/* copy - all of one store into an empty other, whatever databases they are on. */
#ifndef ST_STORE_COPY_H
#define ST_STORE_COPY_H

#include "store/db.h"

/* from, of one moment, into to, in one transaction. ST_STORE_EXISTS: there is something in to.
 * Given up when *stop is not 0 any more (NULL: never). report is written on success.
 */
st_store_status st_copy_all(st_store *from, st_store *to, const volatile int *stop,
                            st_copy_report *report, char *error)
    __attribute__((warn_unused_result));

#endif
