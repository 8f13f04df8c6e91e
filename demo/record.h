/* What the three programs of the demo hand to each other: a file of records. Each is this header,
 * the file's path (relative to the directory that the demo was given), and the compressed bytes. */
#ifndef DEMO_RECORD_H_
#define DEMO_RECORD_H_

#include <stdint.h>

/** A piece of a file, compressed. In the machine's own byte order. */
typedef struct demo_record {
  /** Which of the demo's files. */
  uint64_t file;
  /** Where the piece begins in it. */
  uint64_t offset;
  /** Bytes of the piece. */
  uint64_t size;
  /** When the file was last changed, in nanoseconds since 1970, as it was read. */
  uint64_t modified_ns;
  /** Bytes of the path that follow. */
  uint64_t path_size;
  /** Compressed bytes that follow the path. */
  uint64_t frame_size;
} demo_record;

#endif  // DEMO_RECORD_H_
