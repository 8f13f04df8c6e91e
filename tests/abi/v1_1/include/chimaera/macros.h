/* The macros of the C++ layer: visibility, and the markers used in the source of ChiMods. */
#ifndef CHIMAERA_MACROS_H_
#define CHIMAERA_MACROS_H_

/** Version of this C++ layer, which a module reports to the runtime. */
#define CHI_SDK_VERSION "0.1.0"

/** Exports a symbol from the shared library that it is compiled into. */
#define HSHM_DLL __attribute__((visibility("default")))

/** Hides a symbol from other shared libraries, even where the rest of the file is visible. */
#define CHI_HIDDEN __attribute__((visibility("hidden")))

/* Visibility of the namespaces of this layer. Two modules in one runtime may be built against
 * different versions of the layer, so in a module none of its symbols may bind across libraries. */
#ifdef CHIMAERA_RUNTIME
#define CHI_LAYER CHI_HIDDEN
#else
#define CHI_LAYER
#endif

/** A parameter that the method reads. Only a marker. */
#define IN
/** A parameter that the method writes. Only a marker. */
#define OUT
/** A parameter that the method reads and writes. Only a marker. */
#define INOUT

/** A constant of a class: `CLS_CONST int kCompress = 10;`. */
#define CLS_CONST static constexpr

/** The allocator with which tasks are made: `const hipc::CtxAllocator<CHI_ALLOC_T> &alloc`. */
#define CHI_ALLOC_T ::hipc::Allocator

/** The default memory context: `client.Compress(HSHM_MCTX, ...)`. */
#define HSHM_MCTX (::hipc::MemContext{})

/* Unwraps a type that is a macro argument: yields `X` itself, or `a<b, c>` for `(a<b, c>)`. */
#define TYPE_UNWRAP(X) CHI_UNWRAP_ESCAPE(CHI_UNWRAP_STEP X)
#define CHI_UNWRAP_STEP(...) CHI_UNWRAP_STEP __VA_ARGS__
#define CHI_UNWRAP_ESCAPE(...) CHI_UNWRAP_PASTE(__VA_ARGS__)
#define CHI_UNWRAP_PASTE(...) CHI_NOTHING##__VA_ARGS__
#define CHI_NOTHINGCHI_UNWRAP_STEP

#define CHI_STRINGIZE(X) CHI_STRINGIZE_TEXT(X)
#define CHI_STRINGIZE_TEXT(X) #X

/* True when the struct at TABLE, which begins with its size, is long enough to have the field. */
#define CHI_COVERS(TABLE, TYPE, FIELD) \
  ((TABLE)->size >= offsetof(TYPE, FIELD) + sizeof(TYPE::FIELD))

#endif  // CHIMAERA_MACROS_H_
