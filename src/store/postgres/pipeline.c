/* One connection that all requests share. Whoever has a question puts it into a queue; one of those
 * who wait leads: it sends as many questions as go into the pipeline at once, reads their answers
 * and hands them out. Meanwhile the next questions gather, and when the leader has its own answer
 * another one leads. So a question alone costs one round trip and no other thread, and a thousand
 * cost few. What is asked is in read_path.c.
 *
 * A connection that breaks, or is silent for too long, is closed. What it has not answered is asked
 * again on the next one, within the time of each question: these statements only read.
 */
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/condition.h"
#include "store/postgres/postgres.h"

#define QUESTIONS_MAX 1024         /* that wait while the database answers */
#define ANSWER_US INT64_C(2000000) /* after so long without one, another connection is made */
#define CONNECT_AGAIN_US INT64_C(50000)
#define TRIES_MAX 2 /* of a statement that the database refuses */

typedef struct pipeline_question {
  struct pipeline_question *next;
  pthread_cond_t changed;
  int which;
  const st_value *values;
  int64_t until_us;
  PGresult *result;
  int tries;
  bool queued; /* not being asked right now */
  bool leads;
  bool done;
  char *error;
} pipeline_question;

struct st_postgres_pipeline {
  st_postgres *store;
  st_postgres_connection connection; /* of who leads */
  pthread_mutex_t lock;              /* guards all below */
  pipeline_question *first, *last;
  size_t inside; /* questions, whether queued or being asked */
  size_t batch_max;
  bool led;
  bool reached; /* the connection was there when it was last looked at */
};

/* ---- the queue: each of these under the lock ---- */

static void pipeline_append(st_postgres_pipeline *p, pipeline_question *q) {
  q->queued = true;
  q->next = NULL;
  if (p->last != NULL) {
    p->last->next = q;
  } else {
    p->first = q;
  }
  p->last = q;
}

static void pipeline_put_back(st_postgres_pipeline *p, pipeline_question *q) {
  q->queued = true;
  q->next = p->first;
  p->first = q;
  if (p->last == NULL) p->last = q;
  (void)pthread_cond_signal(&q->changed); /* its time counts again */
}

static void pipeline_remove(st_postgres_pipeline *p, pipeline_question *q) {
  pipeline_question *before = NULL, *at = p->first;
  for (; at != q; at = at->next) before = at;
  if (before != NULL) {
    before->next = q->next;
  } else {
    p->first = q->next;
  }
  if (p->last == q) p->last = before;
  q->queued = false;
}

static void pipeline_finish(pipeline_question *q) {
  q->done = true;
  (void)pthread_cond_signal(&q->changed);
}

/* The process may end before the question's own time is over. */
static int64_t pipeline_until(const st_postgres_pipeline *p, const pipeline_question *q) {
  int64_t close_us = atomic_load(&p->store->base.close_us);
  return close_us != 0 && close_us < q->until_us ? close_us : q->until_us;
}

static bool pipeline_is_over(const st_postgres_pipeline *p, const pipeline_question *q) {
  return st_clock_monotonic_us() >= pipeline_until(p, q);
}

static size_t pipeline_take(st_postgres_pipeline *p, pipeline_question **batch) {
  size_t count = 0;
  while (count < p->batch_max && p->first != NULL) {
    pipeline_question *q = p->first;
    pipeline_remove(p, q);
    if (pipeline_is_over(p, q)) {
      pipeline_finish(q);
    } else {
      batch[count++] = q;
    }
  }
  return count;
}

/* ---- who leads ---- */

/* Sends all of them and waits for the answers, with the lock open. */
static bool pipeline_send(st_postgres_pipeline *p, pipeline_question **batch, size_t count) {
  st_postgres_connection *c = &p->connection;
  int64_t until_us = st_clock_monotonic_us() + ANSWER_US;
  for (size_t i = 0; i < count; i++) {
    if (!st_postgres_send(c, batch[i]->which, batch[i]->values, &batch[i]->result)) return false;
  }
  return st_postgres_sync(c, until_us);
}

/* Was it the statement's own fault, and not that of a server that goes down or comes up? */
static bool pipeline_is_refused(const st_postgres_connection *c) {
  static const char *const passing[] = {"08", "25", "57"};
  for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
    if (strncmp(c->sqlstate, passing[i], 2) == 0) return false;
  }
  return c->sqlstate[0] != '\0';
}

/* Under the lock. What has no answer is asked again, one by one when the database refuses one of
 * them, so that each fails for itself.
 */
static void pipeline_hand_out(st_postgres_pipeline *p, pipeline_question **batch, size_t count,
                              bool ok) {
  bool refused = !ok && pipeline_is_refused(&p->connection);
  for (size_t i = count; i > 0; i--) {
    pipeline_question *q = batch[i - 1];
    if (!ok) (void)st_postgres_fail(&p->connection, "read", q->error);
    q->tries += refused && count == 1;
    if (ok || q->tries >= TRIES_MAX) {
      pipeline_finish(q);
    } else {
      pipeline_put_back(p, q);
    }
  }
  p->batch_max = refused ? 1 : ST_POSTGRES_BATCH;
  if (!ok) st_postgres_disconnect(&p->connection); /* what it has prepared may be the reason */
}

/* Under the lock, which is open while the network is waited for. */
static void pipeline_lead(st_postgres_pipeline *p, pipeline_question *me) {
  pipeline_question *batch[ST_POSTGRES_BATCH];
  int64_t until_us = pipeline_until(p, me);
  (void)pthread_mutex_unlock(&p->lock);
  bool connected = st_postgres_connect(&p->connection, until_us);
  (void)pthread_mutex_lock(&p->lock);
  p->reached = connected;
  if (!connected) {
    (void)st_postgres_fail(&p->connection, "read", me->error);
    int64_t again_us = st_clock_monotonic_us() + CONNECT_AGAIN_US;
    st_condition_wait(&me->changed, &p->lock, again_us < until_us ? again_us : until_us);
    return;
  }
  size_t count = pipeline_take(p, batch);
  (void)pthread_mutex_unlock(&p->lock);
  bool ok = count == 0 || pipeline_send(p, batch, count);
  (void)pthread_mutex_lock(&p->lock);
  pipeline_hand_out(p, batch, count, ok);
  p->reached = st_postgres_is_connected(&p->connection);
}

/* Under the lock. */
static void pipeline_pass_on(st_postgres_pipeline *p) {
  p->led = p->first != NULL;
  if (!p->led) return;
  p->first->leads = true;
  (void)pthread_cond_signal(&p->first->changed);
}

/* ---- who asks ---- */

/* Under the lock. While nothing answers, most threads must be free for what needs no answer. */
static bool pipeline_has_room(st_postgres_pipeline *p) {
  return p->inside < (p->reached ? QUESTIONS_MAX : p->store->base.writing.waiting_max);
}

/* Under the lock, until it is answered or given up. */
static void pipeline_wait(st_postgres_pipeline *p, pipeline_question *q) {
  pipeline_append(p, q);
  p->inside++;
  if (!p->led) p->led = q->leads = true;
  while (!q->done) {
    if (q->queued && pipeline_is_over(p, q)) {
      pipeline_remove(p, q);
      break;
    }
    if (q->leads) {
      pipeline_lead(p, q);
    } else {
      /* What is being asked waits for its leader, whose time is bounded. */
      st_condition_wait(&q->changed, &p->lock, q->queued ? pipeline_until(p, q) : INT64_MAX);
    }
  }
  p->inside--;
  if (q->leads) pipeline_pass_on(p);
}

st_store_status st_postgres_pipeline_ask(st_postgres_pipeline *p, int which, const st_value *values,
                                         PGresult **result, char *error) {
  pipeline_question q = {.which = which, .values = values, .error = error};
  q.until_us = st_clock_monotonic_us() + ST_POSTGRES_QUESTION_MS * INT64_C(1000);
  (void)st_db_fail(error, "cannot read %s: it does not answer", st_db_name(&p->store->base));
  st_condition_init(&q.changed);
  (void)pthread_mutex_lock(&p->lock);
  if (pipeline_has_room(p)) {
    pipeline_wait(p, &q);
  } else {
    (void)st_db_fail(error, "cannot read %s: too many wait for it", st_db_name(&p->store->base));
  }
  (void)pthread_mutex_unlock(&p->lock);
  (void)pthread_cond_destroy(&q.changed);
  *result = q.result;
  return q.result != NULL ? ST_STORE_OK : ST_STORE_FAILED;
}

/* ---- start and end ---- */

st_postgres_pipeline *st_postgres_pipeline_new(st_postgres *store) {
  st_postgres_pipeline *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  p->store = store;
  p->connection.store = store;
  p->reached = true;
  p->batch_max = ST_POSTGRES_BATCH;
  (void)pthread_mutex_init(&p->lock, NULL);
  return p;
}

void st_postgres_pipeline_free(st_postgres_pipeline *p) {
  if (p == NULL) return;
  st_postgres_disconnect(&p->connection);
  (void)pthread_mutex_destroy(&p->lock);
  free(p);
}
