#include "driver.h"

#include <math.h>
#include <stddef.h>

#include "eftrain.h"
#include "platform.h"

#define MOST_POLLS UINT32_C(1000000000)
#define MOST_LANES 64
#define WATCHDOG_CYCLES 1000000
#define BURST_BYTES 128

static uint64_t read64(uint32_t offset)
{
    uint64_t low = platform_read_register(offset);
    return low | (uint64_t)platform_read_register(offset + 4) << 32;
}

static void write64(uint32_t offset, uint64_t value)
{
    platform_write_register(offset, (uint32_t)value);
    platform_write_register(offset + 4, (uint32_t)(value >> 32));
}

/* Wait until (register & mask) != 0 is `set`. */
static eftrain_status poll(uint32_t offset, uint32_t mask, int set)
{
    for (uint32_t polls = 0; polls < MOST_POLLS; polls++)
        if (((platform_read_register(offset) & mask) != 0) == set)
            return EFTRAIN_OK;
    return EFTRAIN_TIMEOUT;
}

static eftrain_status expect(uint32_t offset, uint32_t mask, uint32_t value, eftrain_status otherwise, eftrain_error *error)
{
    error->expected = value;
    error->found = platform_read_register(offset) & mask;
    return error->found == value ? EFTRAIN_OK : otherwise;
}

static void copy(const eftrain_block *block)
{
    static const uint32_t zeros[256];
    uint32_t done = 0;
    if (block->words) {
        platform_to_memory(block->address, block->words, (size_t)block->count * 4);
        return;
    }
    while (done < block->count) {
        uint32_t left = block->count - done, count = left < 256 ? left : 256;
        platform_to_memory(block->address + 4 * (uint64_t)done, zeros, (size_t)count * 4);
        done += count;
    }
}

static eftrain_status reset(void)
{
    platform_write_register(EFTRAIN_CONTROL_OFFSET, EFTRAIN_CONTROL_SOFT_RESET_MASK);
    return poll(EFTRAIN_STATUS_OFFSET, EFTRAIN_STATUS_RESETTING_MASK, 0);
}

eftrain_status eftrain_open(const eftrain_plan *plan, eftrain_error *error)
{
    const uint32_t pending = EFTRAIN_INTERRUPT_STATUS_DONE_MASK | EFTRAIN_INTERRUPT_STATUS_ERROR_MASK;
    const uint32_t version = (uint32_t)EFTRAIN_REGISTER_MAP_VERSION << EFTRAIN_VERSION_REGISTER_MAP_SHIFT;
    eftrain_status status = expect(
        EFTRAIN_ID_OFFSET, EFTRAIN_ID_VALUE_MASK, EFTRAIN_IDENTIFICATION, EFTRAIN_NO_ACCELERATOR, error);
    if (!status)
        status = expect(
            EFTRAIN_VERSION_OFFSET, EFTRAIN_VERSION_REGISTER_MAP_MASK, version, EFTRAIN_NO_ACCELERATOR, error);
    if (!status)
        status = expect(
            EFTRAIN_CONFIGURATION_HASH_OFFSET, EFTRAIN_CONFIGURATION_HASH_VALUE_MASK, plan->configuration_hash,
            EFTRAIN_OTHER_CONFIGURATION, error);
    if (!status)
        status = reset();
    if (status)
        return status;
    write64(EFTRAIN_WINDOW_BASE_OFFSET, plan->memory_base);
    write64(EFTRAIN_WINDOW_LIMIT_OFFSET, plan->memory_base + plan->memory_bytes);
    platform_write_register(
        EFTRAIN_BURST_OFFSET,
        BURST_BYTES << EFTRAIN_BURST_READ_BYTES_SHIFT | BURST_BYTES << EFTRAIN_BURST_WRITE_BYTES_SHIFT);
    platform_write_register(EFTRAIN_WATCHDOG_OFFSET, WATCHDOG_CYCLES);
    platform_write_register(EFTRAIN_INTERRUPT_STATUS_OFFSET, pending);
    platform_write_register(EFTRAIN_LEARNING_RATE_OFFSET, plan->learning_rate);
    platform_write_register(EFTRAIN_WEIGHT_DECAY_OFFSET, plan->weight_decay);
    platform_write_register(EFTRAIN_MOMENTUM_OFFSET, plan->momentum);
    copy(&plan->forward);
    copy(&plan->backward_update);
    for (uint32_t k = 0; k < plan->initial_count; k++)
        copy(&plan->initial[k]);
    return EFTRAIN_OK;
}

static eftrain_status run(const eftrain_block *program, eftrain_error *error)
{
    const uint32_t ends = EFTRAIN_INTERRUPT_STATUS_DONE_MASK | EFTRAIN_INTERRUPT_STATUS_ERROR_MASK;
    uint32_t code;
    /* A machine that is busy, or stopped, ignores a start, and the end of the other program would count as ours. */
    if (platform_read_register(EFTRAIN_STATUS_OFFSET) &
        (EFTRAIN_STATUS_BUSY_MASK | EFTRAIN_STATUS_ERROR_MASK | EFTRAIN_STATUS_RESETTING_MASK))
        return EFTRAIN_NOT_READY;
    write64(EFTRAIN_PROGRAM_ADDRESS_OFFSET, program->address);
    platform_write_register(EFTRAIN_PROGRAM_BYTES_OFFSET, program->count * 4);
    platform_write_register(EFTRAIN_CONTROL_OFFSET, EFTRAIN_CONTROL_START_MASK);
    if (poll(EFTRAIN_INTERRUPT_STATUS_OFFSET, ends, 1))
        return EFTRAIN_TIMEOUT;
    platform_write_register(EFTRAIN_INTERRUPT_STATUS_OFFSET, ends);
    if (!(platform_read_register(EFTRAIN_STATUS_OFFSET) & EFTRAIN_STATUS_ERROR_MASK)) {
        platform_write_register(EFTRAIN_STATUS_OFFSET, EFTRAIN_STATUS_DONE_MASK);
        return EFTRAIN_OK;
    }
    code = platform_read_register(EFTRAIN_ERROR_CODE_OFFSET);
    error->code = (code & EFTRAIN_ERROR_CODE_CODE_MASK) >> EFTRAIN_ERROR_CODE_CODE_SHIFT;
    error->unit = (code & EFTRAIN_ERROR_CODE_UNIT_MASK) >> EFTRAIN_ERROR_CODE_UNIT_SHIFT;
    error->tag = (code & EFTRAIN_ERROR_CODE_TAG_MASK) >> EFTRAIN_ERROR_CODE_TAG_SHIFT;
    error->instruction = platform_read_register(EFTRAIN_ERROR_INSTRUCTION_OFFSET);
    error->address = read64(EFTRAIN_ERROR_ADDRESS_OFFSET);
    return EFTRAIN_STOPPED;
}

/* Address of lane 0 of the vector of a channel tile at a pixel. */
static uint64_t vector_address(const eftrain_map *map, uint32_t image, uint32_t tile, uint32_t pixel)
{
    uint32_t tiles = (map->channels + map->lanes - 1) / map->lanes, pixels = map->rows * map->columns;
    return map->address + 4 * ((((uint64_t)image * tiles + tile) * pixels + pixel) * map->lanes);
}

static void write_vectors(const eftrain_map *map, uint32_t image, const float *values)
{
    uint32_t pixels = map->rows * map->columns;
    for (uint32_t tile = 0; tile * map->lanes < map->channels; tile++)
        for (uint32_t pixel = 0; pixel < pixels; pixel++) {
            float vector[MOST_LANES] = {0};
            for (uint32_t lane = 0; lane < map->lanes && tile * map->lanes + lane < map->channels; lane++)
                vector[lane] = values[(tile * map->lanes + lane) * pixels + pixel];
            platform_to_memory(vector_address(map, image, tile, pixel), vector, (size_t)map->lanes * 4);
        }
}

static void write_planes(const eftrain_map *map, uint32_t image, const float *values)
{
    static const float zero;
    for (uint32_t channel = 0; channel < map->channels; channel++)
        for (uint32_t phase = 0; phase < map->phases; phase++)
            for (uint32_t row = 0; row < map->rows; row++)
                for (uint32_t place = 0; place < map->segment; place++) {
                    uint32_t column = (place + map->padding / map->phases) * map->phases + phase - map->padding;
                    const float *source = &values[(channel * map->rows + row) * map->columns];
                    uint64_t plane = ((uint64_t)image * map->channels + channel) * map->phases + phase;
                    uint64_t index = (plane * map->rows + row) * map->segment + place;
                    /* A column left of the map wraps round to a large number. */
                    source = column < map->columns ? &source[column] : &zero;
                    platform_to_memory(map->address + 4 * index, source, 4);
                }
}

static void write_map(const eftrain_map *map, uint32_t image, const float *values)
{
    if (map->phases)
        write_planes(map, image, values);
    else
        write_vectors(map, image, values);
}

/* Cross-entropy of one image, and the gradient of its logits for the mean over the batch. */
static double cross_entropy(const eftrain_plan *plan, uint32_t image, uint32_t label)
{
    const eftrain_map *logits = &plan->logits;
    const eftrain_map *gradient = &plan->logits_gradient;
    float vector[MOST_LANES];
    double most = -INFINITY, sum = 0, loss = 0;
    for (int pass = 0; pass < 3; pass++)
        for (uint32_t tile = 0; tile * logits->lanes < logits->channels; tile++) {
            uint32_t first = tile * logits->lanes, left = logits->channels - first;
            platform_from_memory(vector, vector_address(logits, image, tile, 0), (size_t)logits->lanes * 4);
            for (uint32_t lane = 0; lane < logits->lanes; lane++) {
                double shifted = vector[lane] - most;
                if (lane >= left) {
                    vector[lane] = 0;
                } else if (pass == 0) {
                    most = vector[lane] > most ? vector[lane] : most;
                } else if (pass == 1) {
                    sum += exp(shifted);
                } else {
                    double log_softmax = shifted - log(sum);
                    int own = first + lane == label;
                    loss -= own ? log_softmax : 0;
                    vector[lane] = (float)((exp(log_softmax) - own) / plan->batch);
                }
            }
            if (pass == 2)
                platform_to_memory(vector_address(gradient, image, tile, 0), vector, (size_t)gradient->lanes * 4);
        }
    return loss;
}

eftrain_status eftrain_step(
    const eftrain_plan *plan, const float *samples, const uint32_t *labels, double *loss, eftrain_error *error)
{
    const eftrain_map *input = &plan->input;
    size_t size = (size_t)input->channels * input->rows * input->columns;
    eftrain_status status;
    for (uint32_t image = 0; image < plan->batch; image++)
        write_map(input, image, &samples[image * size]);
    status = run(&plan->forward, error);
    if (status)
        return status;
    *loss = 0;
    for (uint32_t image = 0; image < plan->batch; image++)
        *loss += cross_entropy(plan, image, labels[image]) / plan->batch;
    return run(&plan->backward_update, error);
}
