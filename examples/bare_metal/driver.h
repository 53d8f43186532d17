/* Trains with a compiled plan, in C99 without an operating system. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>

/* Words that belong at an address; `words` 0 stands for zeros. */
typedef struct {
    uint64_t address;
    const uint32_t *words;
    uint32_t count;
} eftrain_block;

/* Where a feature map lies: [image][channel tile][row][column][lane], or if `phases` is not 0
 * [image][channel][column phase][row][position], with rows of `segment` words. */
typedef struct {
    uint64_t address;
    uint32_t channels, rows, columns, lanes;
    uint32_t phases, padding, segment;
} eftrain_map;

/* A network compiled for one accelerator: what `eftrain compile --c-source` writes. Scalars are bits of FP32. */
typedef struct {
    uint32_t configuration_hash, batch;
    uint64_t memory_base, memory_bytes;
    uint32_t learning_rate, weight_decay, momentum;
    eftrain_block forward, backward_update;
    eftrain_map input, logits, logits_gradient;
    const eftrain_block *initial;
    uint32_t initial_count;
} eftrain_plan;

extern const eftrain_plan plan;

typedef enum {
    EFTRAIN_OK,
    EFTRAIN_NO_ACCELERATOR,      /* nothing that this driver knows answers at the registers */
    EFTRAIN_OTHER_CONFIGURATION, /* the plan was compiled for another one */
    EFTRAIN_STOPPED,             /* the machine stopped with an error */
    EFTRAIN_TIMEOUT,             /* no end within the polls allowed */
    EFTRAIN_NOT_READY            /* a program still runs, or has stopped with an error: eftrain_open helps */
} eftrain_status;

/* What went wrong: registers of the hardware after EFTRAIN_STOPPED, else expected and found values. */
typedef struct {
    uint32_t code, unit, tag, instruction;
    uint64_t address;
    uint32_t expected, found;
} eftrain_error;

/* Check the hardware, reset it, set it up for the plan, and copy programs and initial parameters to its memory. */
eftrain_status eftrain_open(const eftrain_plan *plan, eftrain_error *error);

/* One step: samples [batch][channels][rows][columns] and labels [batch] in, mean cross-entropy out. */
eftrain_status eftrain_step(
    const eftrain_plan *plan, const float *samples, const uint32_t *labels, double *loss, eftrain_error *error);

#endif
