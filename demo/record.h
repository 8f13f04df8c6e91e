/* The file of records that the three programs of the demo exchange. Each record is this header,
 * followed by the file's path (relative to the demo's directory) and the compressed bytes. */
#ifndef DEMO_RECORD_H_
#define DEMO_RECORD_H_

#include <stdint.h>

/** The header of a compressed piece of a file, in native byte order. */
typedef struct demo_record {
  /** The number of the file. */
  uint64_t file;
  /** The offset of the piece in the file. */
  uint64_t offset;
  /** The size of the piece in bytes. */
  uint64_t size;
  /** The modification time of the file when it was read, in nanoseconds since 1970. */
  uint64_t modified_ns;
  /** Bytes of the path that follows. */
  uint64_t path_size;
  /** Bytes of compressed data after the path. */
  uint64_t frame_size;
} demo_record;

#endif  // DEMO_RECORD_H_
