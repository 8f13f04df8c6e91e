/* Creates a pool of several containers and sends tasks with every kind of query, in C: c_containers
 * MODULE CONTAINERS. Prints a JSON line with the status and the reason of a failure. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chimaera/abi.h"
#include "json.h"

/* WhereTask of tests/fixtures/spread_tasks.h. */
struct where_task {
  struct chi_task task;
  uint32_t container;
  uint32_t count;
  uint32_t alive;
  uint32_t depth;
  struct chi_shm_string text;
};

enum { WHERE = 10 };

static int done(chi_status status, const char *why) {
  printf("{\"status\":%d,", status);
  json_string("message", why, strlen(why));
  puts("}");
  return 0;
}

static chi_status where(chi_pool_id pool, uint32_t kind, uint32_t value, struct where_task *found) {
  const chi_domain_query query = {kind, value};
  struct chi_task *task = NULL;
  chi_status status = chi_task_new(sizeof(*found), pool, query, WHERE, &task);
  if (status != CHI_OK) return status;
  status = chi_submit(task);
  if (status == CHI_OK) status = chi_wait(task, CHI_WAIT_FOREVER);
  memcpy(found, task, sizeof(*found));
  chi_task_delete(task);
  return status;
}

#define EXPECT(CONDITION) \
  if (!(CONDITION)) return done(CHI_FAILED, #CONDITION)

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const uint32_t containers = (uint32_t)strtoul(argv[2], NULL, 10);
  const uint32_t last = containers - 1;
  chi_pool_options options = {sizeof(options), containers};
  chi_pool_id pool;
  char name[256];
  snprintf(name, sizeof(name), "c %s %u", argv[1], containers);
  chi_status status = chi_init(NULL);
  if (status == CHI_OK) status = chi_pool_create_with(argv[1], name, NULL, 0, &options, &pool);
  if (status != CHI_OK) return done(status, chi_last_error());

  chi_pool_id other;
  EXPECT(chi_pool_create_with(argv[1], name, NULL, 0, NULL, &other) == CHI_INVALID);
  options.size = 4;
  EXPECT(chi_pool_create_with(argv[1], name, NULL, 0, &options, &other) == CHI_INVALID);
  options.size = sizeof(options);
  options.containers = containers + 1;
  EXPECT(chi_pool_create_with(argv[1], name, NULL, 0, &options, &other) == CHI_EXISTS);

  static const struct {
    uint32_t kind, factor;
  } to_last[] = {{CHI_DOMAIN_LOCAL_ID, 0},
                 {CHI_DOMAIN_GLOBAL_ID, 0},
                 {CHI_DOMAIN_LOCAL_HASH, 3},
                 {CHI_DOMAIN_GLOBAL_HASH, 7}};
  struct where_task found;
  for (size_t i = 0; i < sizeof(to_last) / sizeof(to_last[0]); ++i) {
    const uint32_t value = to_last[i].factor * containers + last;
    EXPECT(where(pool, to_last[i].kind, value, &found) == CHI_OK);
    EXPECT(found.container == last && found.count == containers && found.depth == 0);
  }
  EXPECT(where(pool, CHI_DOMAIN_DYNAMIC, 0, &found) == CHI_OK && found.container < containers);
  EXPECT(where(pool, CHI_DOMAIN_GLOBAL_BCAST, 0, &found) == CHI_OK);
  EXPECT(found.container == 0 && found.depth == 1);
  EXPECT(where(pool, CHI_DOMAIN_LOCAL_ID, containers, &found) == CHI_INVALID);
  EXPECT(chi_pool_destroy(pool) == CHI_OK);
  return done(CHI_OK, "");
}
