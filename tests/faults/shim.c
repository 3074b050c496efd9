/*
 * shim.c - preloaded into a program (LD_PRELOAD), makes its calls of the operating system and of
 * the allocator fail: the Nth of a kind, or so many from there on. What is to fail is in the file
 * that SUBTOKEN_FAULTS names (control.h), which whoever tests may change at any time: so a running
 * server is told "from now on". It counts too, and says at which call the stack is one not seen
 * before. faults.py drives it; the calls are in calls.c, and those of the allocator in memory.c.
 */
#include "shim.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct control *control;
static struct dl_find_object shim; /* where it lies: its own frames are in no stack */
static __thread int inside;        /* what the shim itself calls is let through */

static const int errors[] = {
#define KIND(name, error) error,
#include "kinds.def"
#undef KIND
};

/* Before main: the control file. Without one, or in another program than SUBTOKEN_FAULTS_PROGRAM,
   every call is let through. Nothing here is interposed: system calls as they are. */
__attribute__((constructor)) static void shim_begin(void) {
  const char *name = getenv("SUBTOKEN_FAULTS"), *only = getenv("SUBTOKEN_FAULTS_PROGRAM");
  if (name == NULL || (only != NULL && strcmp(only, program_invocation_short_name) != 0)) return;
  inside++;
  void *warm[4];
  (void)backtrace(warm, 4); /* loads what it needs now */
  (void)_dl_find_object((void *)(uintptr_t)shim_begin, &shim);
  long fd = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    long at =
        syscall(SYS_mmap, 0, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at > 0 || at < -4096) control = (struct control *)at;
    syscall(SYS_close, fd);
  }
  inside--;
  if (control == NULL) {
    static const char text[] = "shim: SUBTOKEN_FAULTS is not a control file\n";
    syscall(SYS_write, 2, text, sizeof text - 1);
    _exit(97);
  }
}

/* Is the call about a file whose name contains the wanted text? */
static int about_path(const char *path, int fd) {
  char name[512], link[32] = "/proc/self/fd/";
  if (control->path[0] == 0) return 1;
  if (path != NULL) return strstr(path, control->path) != NULL;
  if (fd < 0) return 0;
  size_t n = strlen(link), digits = 1;
  for (int rest = fd; rest >= 10; rest /= 10) digits++;
  for (size_t i = digits; i-- > 0; fd /= 10) link[n + i] = (char)('0' + fd % 10);
  link[n + digits] = 0;
  long length = syscall(SYS_readlink, link, name, sizeof name - 1);
  if (length <= 0) return 0;
  name[length] = 0;
  return strstr(name, control->path) != NULL;
}

/* The name of the file that an address lies in: "" for the program, NULL for none. */
static const char *object_of(const void *address, uint64_t *offset) {
  struct dl_find_object found;
  if (_dl_find_object((void *)(uintptr_t)address, &found) != 0) return NULL;
  *offset = (uint64_t)((uintptr_t)address - found.dlfo_link_map->l_addr);
  return found.dlfo_link_map->l_name;
}

static int from_object(const void *caller) {
  uint64_t offset;
  if (control->object[0] == 0) return 1;
  const char *name = object_of(caller, &offset);
  if (name == NULL) return 0;
  return strcmp(control->object, "-") == 0 ? name[0] == 0 : strstr(name, control->object) != NULL;
}

/* The stack from the caller of ours on: where it begins in `stack`. Before ours may be a frame of a
   sanitizer, which has a backtrace() of its own. */
static int stack_of(void **stack, int room, int *depth) {
  int from = 0;
  *depth = backtrace(stack, room);
  for (int i = 0; i < *depth && i < 8; i++)
    if (stack[i] >= shim.dlfo_map_start && stack[i] < shim.dlfo_map_end) from = i + 1;
  return from;
}

/* Notes the number of a call whose stack is a new one. */
static void note_site(uint64_t number) {
  void *stack[FAULTS_FRAMES];
  uint64_t hash = 14695981039346656037U;
  int depth, from = stack_of(stack, FAULTS_FRAMES, &depth);
  for (int i = from; i < depth; i++) {
    uint64_t offset;
    const char *name = control->record == RECORD_OWN ? object_of(stack[i], &offset) : "";
    if (name != NULL && name[0] == 0) hash = (hash ^ (uintptr_t)stack[i]) * 1099511628211U;
  }
  hash |= 1;
  size_t slots = sizeof control->hashes / sizeof control->hashes[0];
  for (size_t i = (hash >> 20) % slots, tries = 0; tries < slots; i = (i + 1) % slots, tries++) {
    uint64_t was = 0;
    if (__atomic_compare_exchange_n(&control->hashes[i], &was, hash, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST)) {
      uint64_t n = __atomic_fetch_add(&control->site_count, 1, __ATOMIC_SEQ_CST);
      if (n < FAULTS_SITES) control->sites[n] = number;
      return;
    }
    if (was == hash) return;
  }
}

/* Keeps the stack of the first call that fails. */
static void note_stack(void) {
  void *stack[FAULTS_FRAMES];
  uint64_t n = 0;
  int depth, from = stack_of(stack, FAULTS_FRAMES, &depth);
  for (int i = from; i < depth; i++) {
    struct frame *f = &control->stack[n];
    const char *name = object_of(stack[i], &f->offset);
    if (name == NULL) continue;
    strncpy(f->object, name, sizeof f->object - 1);
    n++;
  }
  __atomic_store_n(&control->depth, n, __ATOMIC_SEQ_CST);
}

void shim_die(void) {
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/* What is to become of this call; errno is set when it is to fail. */
enum fate shim_fate(enum kind kind, const char *path, int fd, const void *caller) {
  if (control == NULL || inside || !__atomic_load_n(&control->on, __ATOMIC_SEQ_CST))
    return FATE_PROCEED;
  if ((control->pid != 0 && control->pid != (int32_t)syscall(SYS_getpid)) ||
      (control->spare_stderr && fd == 2) || !from_object(caller) || !about_path(path, fd))
    return FATE_PROCEED;
  __atomic_fetch_add(&control->calls[kind], 1, __ATOMIC_SEQ_CST);
  if ((control->kinds >> kind & 1) == 0) return FATE_PROCEED;
  uint64_t number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST), at = control->at;
  int was = errno;
  inside++;
  if (control->record) note_site(number);
  int chosen = at != 0 && number >= at && number - at < control->times;
  if (chosen && __atomic_fetch_add(&control->failed, 1, __ATOMIC_SEQ_CST) == 0) note_stack();
  inside--;
  errno = was;
  if (!chosen) return FATE_PROCEED;
  switch ((enum action)control->action) {
    case ACTION_SHORT: return FATE_SHORT;
    case ACTION_KILL_BEFORE: shim_die(); break;
    case ACTION_KILL_AFTER: return FATE_KILL_AFTER;
    case ACTION_STOP_BEFORE: syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP); return FATE_PROCEED;
    case ACTION_FAIL: break;
  }
  errno = control->error != 0 ? control->error : errors[kind];
  return FATE_FAIL;
}

/* A build that counts what is run (make coverage) writes it down when it ends, or when a library is
   closed, and needs memory for that: where SUBTOKEN_FAULTS_COUNTING is set, nothing fails then.
   What main registers is called before what its libraries do at their end. */
static int counting;
static int (*shim_program)(int, char **, char **);

static void shim_end(void) {
  inside++;
}

static int shim_main(int argc, char **argv, char **env) {
  counting = getenv("SUBTOKEN_FAULTS_COUNTING") != NULL;
  if (counting && atexit(shim_end) != 0) abort();
  return shim_program(argc, argv, env);
}

int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*end)(void), void *stack);
int __libc_start_main(int (*program)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*end)(void), void *stack) {
  int (*next)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
              void (*)(void), void *);
  *(void **)&next = shim_next("__libc_start_main");
  shim_program = program;
  return next(shim_main, argc, argv, init, fini, end, stack);
}

int dlclose(void *library) {
  static int (*next)(void *);
  if (next == NULL) *(void **)&next = shim_next("dlclose");
  inside += counting;
  int result = next(library);
  inside -= counting;
  return result;
}

/* The function of that name behind ours: of the sanitizer, else of libc. */
void *shim_next(const char *name) {
  inside++;
  void *found = dlsym(RTLD_NEXT, name);
  inside--;
  if (found == NULL) abort();
  return found;
}
