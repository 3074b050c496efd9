/* Notices a commit without a call of the system. In WAL mode each commit, of whatever process, ends
 * with a new header in the wal-index, which all processes map: first its second copy, then its
 * first (https://www.sqlite.org/walformat.html section 2.1). SQLite itself begins each read
 * transaction by comparing that header with the one it knows, all 48 bytes, and only when they
 * differ does data_version change. The same comparison is made here, on SQLite's own mapping; what
 * it locks it locks for reading pages, and no page is read here.
 *
 * The counter of commits and the checksum in the header are never those of another moment. A header
 * in the middle of being written has two different copies, or is not yet the end of a commit.
 */
#include <string.h>

#include "store/sqlite/sqlite.h"

#define INDEX_VERSION 3007000 /* of the format, since SQLite 3.7.0; its first four bytes */
#define INDEX_BLOCK 32768
#define COPY (ST_SQLITE_WAL_WORDS / 2)

/* A file that was read in WAL mode is open, and has the methods for it. */
const uint64_t *st_sqlite_wal_index_find(sqlite3 *db) {
  sqlite3_file *file = NULL;
  void volatile *block = NULL;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
      file->pMethods->xShmMap(file, 0, INDEX_BLOCK, 0, &block) != SQLITE_OK) {
    return NULL;
  }
  return (const uint64_t *)block;
}

/* The first copy before the second: SQLite writes them the other way round. */
bool st_sqlite_wal_index_read(const uint64_t *index, uint64_t header[ST_SQLITE_WAL_WORDS]) {
  uint32_t version;
  if (index == NULL) return false;
  for (size_t i = 0; i < ST_SQLITE_WAL_WORDS; i++) {
    header[i] = __atomic_load_n(&index[i], __ATOMIC_ACQUIRE);
  }
  memcpy(&version, header, sizeof version);
  return version == INDEX_VERSION && memcmp(header, header + COPY, COPY * sizeof *header) == 0;
}

/* Under the reader's lock. The turn is odd while the words change. */
void st_sqlite_wal_index_keep(st_sqlite_wal_header *kept,
                              const uint64_t header[ST_SQLITE_WAL_WORDS]) {
  uint32_t turn = atomic_load_explicit(&kept->turn, memory_order_relaxed);
  atomic_store_explicit(&kept->turn, turn + 1, memory_order_relaxed);
  for (size_t i = 0; i < ST_SQLITE_WAL_WORDS; i++) {
    atomic_store_explicit(&kept->words[i], header != NULL ? header[i] : 0, memory_order_release);
  }
  atomic_store_explicit(&kept->turn, turn + 2, memory_order_release);
}

bool st_sqlite_wal_index_unchanged(const uint64_t *index, const st_sqlite_wal_header *kept) {
  uint64_t header[ST_SQLITE_WAL_WORDS], different = 0;
  uint32_t turn = atomic_load_explicit(&kept->turn, memory_order_acquire);
  if (turn % 2 != 0 || !st_sqlite_wal_index_read(index, header)) return false;
  for (size_t i = 0; i < ST_SQLITE_WAL_WORDS; i++) {
    different |= header[i] ^ atomic_load_explicit(&kept->words[i], memory_order_acquire);
  }
  return different == 0 && atomic_load_explicit(&kept->turn, memory_order_relaxed) == turn;
}
