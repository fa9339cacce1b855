/* A TFLite delegate of a few lines, which behaves as MODE says. The structs are those of TFLite's
 * core/c/common.h, as far as they are needed. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { GIVES_NOTHING, ABORTS, CLAIMS_NOTHING, CLAIMS_ALL, CLAIMS_SECOND, CRASHES_WHEN_RUN, COMPLAINS,
       NEEDS_ANOTHER_RUNTIME };

typedef struct { int size; int data[]; } IntArray;
struct Context;

typedef struct {
  void* (*init)(struct Context*, const char*, size_t);
  void (*free)(struct Context*, void*);
  int (*prepare)(struct Context*, void*);
  int (*invoke)(struct Context*, void*);
  const char* (*profiling_string)(struct Context*, void*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* later[8]; /* what newer runtimes added, and room for more */
} Registration;

typedef struct Delegate {
  void* data;
  int (*prepare)(struct Context*, struct Delegate*);
  void* copy_from;
  void* copy_to;
  void* free_handle;
  int64_t flags;
  void* opaque_builder;
  void* later[4];
} Delegate;

typedef struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(struct Context*, IntArray**);
  void* tensors;
  void* impl;
  void* resize_tensor;
  void* report_error;
  void* add_tensors;
  void* get_node_and_registration;
  int (*replace)(struct Context*, Registration, const IntArray*, Delegate*);
} Context;

int symbol_of_another_runtime(void);

static int kernel_prepare(Context* context, void* node) { return 0; }

static int kernel_invoke(Context* context, void* node) {
  if (MODE == CRASHES_WHEN_RUN) *(volatile int*)0 = 1;
  if (MODE == NEEDS_ANOTHER_RUNTIME) return symbol_of_another_runtime();
  return 0;
}

static int delegate_prepare(Context* context, Delegate* delegate) {
  if (MODE == CLAIMS_NOTHING) return 0;
  Registration kernel = {0};
  kernel.prepare = kernel_prepare;
  kernel.invoke = kernel_invoke;
  kernel.custom_name = "SmallDelegate";
  kernel.version = 1;
  IntArray* plan;
  if (context->get_execution_plan(context, &plan)) return 1;
  if (MODE == CLAIMS_SECOND) {
    IntArray* second = malloc(sizeof(IntArray) + sizeof(int));
    second->size = 1;
    second->data[0] = plan->data[1];
    plan = second;
  }
  return context->replace(context, kernel, plan, delegate);
}

#ifdef CREATE
Delegate* CREATE(char** keys, char** values, size_t count, void (*report)(const char*)) {
  if (MODE == ABORTS) abort();
  if (MODE == COMPLAINS) report("no such option");
  if (MODE == GIVES_NOTHING || MODE == COMPLAINS) return NULL;
  Delegate* delegate = calloc(1, sizeof(Delegate));
  delegate->prepare = delegate_prepare;
  /* kTfLiteDelegateFlagsAllowDynamicTensors: it comes before operators that no runtime has fail. */
  delegate->flags = 1;
  return delegate;
}
#endif

void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
