/* control.h - the file that shim.c and whoever injects faults both have in memory. faults.py has
   the same in its FIELDS: a field is added in both. All of it may be changed while a program runs.
 */
#ifndef TESTS_FAULTS_CONTROL_H
#define TESTS_FAULTS_CONTROL_H

#include <stdint.h>

enum {
  FAULTS_KINDS = 64,
  FAULTS_FRAMES = 32,
  FAULTS_SITES = 16384,
};

enum action {
  ACTION_FAIL,        /* the call is not made, and fails with `error` */
  ACTION_SHORT,       /* of what it reads or writes, half */
  ACTION_KILL_BEFORE, /* the process is killed instead of making the call */
  ACTION_KILL_AFTER,  /* the call is made, then the process killed */
  ACTION_STOP_BEFORE, /* the process stops (SIGSTOP); when it goes on, the call is made */
};

enum record {
  RECORD_NONE,
  RECORD_EVERY, /* stacks that differ in any frame */
  RECORD_OWN, /* stacks that differ in the program's own functions: all that a library does for one
                 of its calls is one */
};

struct frame {
  char object[56]; /* the file; empty: the program */
  uint64_t offset;
};

struct control {
  /* What is to be done, written by the test. */
  uint32_t on; /* 0: nothing is counted, nothing fails */
  uint32_t action;
  uint64_t kinds;  /* bit N: calls of kind N */
  uint64_t at;     /* the first call that fails, counted from 1; 0: none, they are counted only */
  uint64_t times;  /* how many fail from there on */
  int32_t error;   /* 0: the one of the kind */
  int32_t pid;     /* 0: in every process */
  uint32_t record; /* collect `sites`: enum record */
  uint32_t spare_stderr; /* what is written to descriptor 2 is let through */
  char object[64]; /* calls from the file whose name contains this; "-": from the program itself */
  char path[128];  /* calls about a file whose name contains this */

  /* What has happened, written by the shim. */
  uint64_t seen;                /* calls of `kinds` */
  uint64_t failed;              /* of these, such as met their fate */
  uint64_t calls[FAULTS_KINDS]; /* of each kind, for counting before one chooses */
  uint64_t depth;               /* of the stack of the first that failed */
  struct frame stack[FAULTS_FRAMES];
  uint64_t site_count; /* numbers of calls with a stack that none before had */
  uint64_t sites[FAULTS_SITES];
  uint64_t hashes[4 * FAULTS_SITES];
};

#endif
