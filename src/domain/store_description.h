/* store_description - what a store says of itself to an operator: what it is, what it promises, and
 * who else uses it. No secret is in it.
 */
#ifndef ST_DOMAIN_STORE_DESCRIPTION_H
#define ST_DOMAIN_STORE_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ST_STORE_PEERS_MAX 256
#define ST_STORE_STANDBYS_MAX 16
typedef struct st_store_peer {
  char name[64];    /* as it called itself */
  char address[64]; /* where it connects from, "local": this machine */
} st_store_peer;
typedef struct st_store_standby {
  char name[64];
  char address[64];
  char state[32]; /* "streaming" when it follows */
  char sync[32];  /* "sync", "quorum", "potential" or "async" */
} st_store_standby;
typedef struct st_store_description {
  char kind[16];       /* "SQLite", "PostgreSQL" */
  char location[1200]; /* a path, or hosts and database */
  char server[256];    /* what answers: HOST:PORT, or empty */
  char version[64];    /* of the database */
  int64_t schema;      /* its version */
  int64_t sequence;
  int64_t age_us; /* how old what this handle knows may be; 0: it asks each time */
  bool on_disk;   /* a commit that is answered survives a crash, also of the machine's power */
  bool elsewhere; /* and the loss of the machine */
  bool not_synchronous; /* a standby is connected that a commit does not wait for */
  bool peers_known;     /* false: this kind of store cannot tell who uses it */
  size_t peer_count;    /* others than this process; of more than fit only the number */
  st_store_peer peers[ST_STORE_PEERS_MAX];
  size_t standby_count;
  st_store_standby standbys[ST_STORE_STANDBYS_MAX];
} st_store_description;

#endif
