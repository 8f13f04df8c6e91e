/* A runtime inside this program:
 *
 *     test_embedded MODULE_PATH
 *
 * where MODULE_PATH contains example:mod_name, chimaera:kv, and test:caller, a module that itself
 * links libchimaera_client. */
#include "chimaera/embedded.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv/kv_c.h"
#include "mod_name/mod_name_c.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

#define CHECK(condition)                                                                       \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      fprintf(stderr, "%s:%d: failed: %s\n  client: %s\n  embedded: %s\n", __FILE__, __LINE__, \
              #condition, chi_last_error(), chi_embedded_last_error());                        \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

static chi_status Run(chi_task *task) {
  const chi_status status = chi_submit(task);
  return status == CHI_OK ? chi_wait(task, CHI_WAIT_FOREVER) : status;
}

static chi_embedded *Start(const char *instance, const char *module_path) {
  chi_embedded_options options = {.size = sizeof(options)};
  options.instance = instance;
  options.module_path = module_path;
  options.workers = 2;
  chi_embedded *embedded = NULL;
  CHECK(chi_embedded_start(&options, &embedded) == CHI_OK);
  return embedded;
}

static void Connect(const chi_embedded *embedded) {
  chi_client_options options = {.size = sizeof(options)};
  options.instance = chi_embedded_instance(embedded);
  CHECK(chi_init(&options) == CHI_OK);
}

/* A task for a C++ module, and two for a Rust module. */
static void UseModules(void) {
  chi_pool_id compressor, kv;
  CHECK(chi_pool_create(EXAMPLE_MOD_NAME_MODULE, "c", NULL, 0, &compressor) == CHI_OK);
  CHECK(chi_pool_create(CHIMAERA_KV_MODULE, "k", NULL, 0, &kv) == CHI_OK);
  chi_pool_id caller;
  CHECK(chi_pool_create("test:caller", "t", NULL, 0, &caller) == CHI_OK);

  char text[10000];
  memset(text, 'x', sizeof(text));
  example_mod_name_compress_task *compress = NULL;
  CHECK(example_mod_name_compress_new(compressor, kQuery, text, sizeof(text), 0, &compress) ==
        CHI_OK);
  CHECK(Run(&compress->task) == CHI_OK);
  CHECK(compress->output_.size_ > 0 && compress->output_.size_ < sizeof(text));

  chimaera_kv_put_task *put = NULL;
  CHECK(chimaera_kv_put_new(kv, kQuery, "key", compress->output_.data_, compress->output_.size_,
                            &put) == CHI_OK);
  CHECK(Run(&put->task) == CHI_OK);
  chimaera_kv_get_task *get = NULL;
  CHECK(chimaera_kv_get_new(kv, kQuery, "key", &get) == CHI_OK);
  CHECK(Run(&get->task) == CHI_OK);
  CHECK(get->value_.size_ == compress->output_.size_ &&
        memcmp(get->value_.data_, compress->output_.data_, get->value_.size_) == 0);
  chi_task_delete(&get->task);
  chi_task_delete(&put->task);
  chi_task_delete(&compress->task);
}

/* The number of files in a directory. */
static int CountFiles(const char *path) {
  DIR *directory = opendir(path);
  CHECK(directory != NULL);
  int count = 0;
  for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) ++count;
  }
  closedir(directory);
  return count;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  char root[] = "/tmp/chimaera-embedded-XXXXXX";
  CHECK(mkdtemp(root) != NULL);
  CHECK(setenv("XDG_RUNTIME_DIR", root, 1) == 0);
  char files[sizeof(root) + 16];
  snprintf(files, sizeof(files), "%s/chimaera", root);

  /* One after the other: a process may start any number of runtimes. */
  for (int i = 0; i < 3; ++i) {
    chi_embedded *embedded = Start(NULL, argv[1]);
    Connect(embedded);
    UseModules();
    chi_shutdown();
    chi_embedded_stop(embedded);
    CHECK(CountFiles(files) == 0);
  }

  /* Two at a time, with different names. */
  chi_embedded *one = Start("one", argv[1]);
  chi_embedded *two = Start("two", argv[1]);
  CHECK(strcmp(chi_embedded_instance(two), "two") == 0);
  Connect(two);
  UseModules();

  /* Impossible requests are refused with a reason. */
  chi_embedded *none = one;
  chi_embedded_options options = {.size = sizeof(options)};
  options.instance = "one";
  CHECK(chi_embedded_start(&options, &none) == CHI_EXISTS && none == NULL);
  CHECK(strstr(chi_embedded_last_error(), "already running") != NULL);
  options.instance = "a/b";
  CHECK(chi_embedded_start(&options, &none) == CHI_INVALID && none == NULL);
  options.size = 8;
  CHECK(chi_embedded_start(&options, &none) == CHI_INVALID && none == NULL);
  options = (chi_embedded_options){.size = sizeof(options)};
  options.workers = 100000;
  CHECK(chi_embedded_start(&options, &none) == CHI_INVALID && none == NULL);

  /* A runtime that ends before its client: later calls of the client report it. */
  chi_embedded_stop(two);
  chi_pool_id id;
  CHECK(chi_pool_find("k", &id) == CHI_UNAVAILABLE);
  chi_shutdown();
  chi_embedded_stop(one);
  chi_embedded_stop(NULL);

  char command[sizeof(files) + 16];
  snprintf(command, sizeof(command), "rm -rf %s", root);
  CHECK(system(command) == 0);
  return 0;
}
