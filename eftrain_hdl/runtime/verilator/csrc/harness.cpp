// C interface to one verilated accelerator and its DRAM. Compiled with EFT_PORTS (1 to 4), EFT_BEAT_BYTES and the model's
// class in EFT_TOP_HEADER / EFT_TOP; called through ctypes from model.py. With EFT_PROBES the model has outputs probe_*
// (rtl/probes.py), which can be recorded.
//
// A clock cycle is two evaluations. The inputs for the coming edge are set while the clock is low, the first evaluation
// settles them, handshakes are read, the second is the rising edge. So ready may depend on valid combinationally.
#include <cstring>
#include <memory>
#include <new>

#include EFT_TOP_HEADER
#include "dram.h"
#include "verilated.h"
#ifdef EFT_PROBES
#include "recorder.h"
#endif

namespace {

constexpr int kTimeout = -1;
constexpr int kBreach = -2;
enum RunResult { kBudget = 0, kInterrupt = 1, kProtocol = 2 };
constexpr unsigned kLiteTimeout = 10000;

class Harness {
public:
    explicit Harness(const eft::Config& config) : dram(config), top(new EFT_TOP{&context, "top"}) {
        top->aclk = 0;
        idle_inputs();
        top->eval();
    }
    ~Harness() { top->final(); }

    void reset(unsigned for_cycles) {
        dram.clear();
        idle_inputs();
        top->aresetn = 0;
        for (unsigned i = 0; i < for_cycles; i++) bare_cycle();
        top->aresetn = 1;
    }

    int run(uint64_t max_cycles) {
        for (uint64_t i = 0; i < max_cycles; i++) {
            if (interrupt()) return kInterrupt;
            cycle();
            if (!dram.error.empty()) return kProtocol;
        }
        return interrupt() ? kInterrupt : kBudget;
    }

    void bare(uint64_t count) {
        for (uint64_t i = 0; i < count; i++) bare_cycle();
    }

    int write32(uint32_t address, uint32_t value, uint32_t strobe) {
        top->s_axi_ctrl_awaddr = address;
        top->s_axi_ctrl_awprot = 0;
        top->s_axi_ctrl_awvalid = 1;
        top->s_axi_ctrl_wdata = value;
        top->s_axi_ctrl_wstrb = strobe;
        top->s_axi_ctrl_wvalid = 1;
        top->s_axi_ctrl_bready = 1;
        int result = kTimeout;
        for (unsigned i = 0; i < kLiteTimeout && result == kTimeout; i++) {
            settle();
            const bool aw = top->s_axi_ctrl_awvalid && top->s_axi_ctrl_awready;
            const bool w = top->s_axi_ctrl_wvalid && top->s_axi_ctrl_wready;
            if (top->s_axi_ctrl_bvalid) result = top->s_axi_ctrl_bresp;
            edge();
            if (aw) top->s_axi_ctrl_awvalid = 0;
            if (w) top->s_axi_ctrl_wvalid = 0;
        }
        top->s_axi_ctrl_awvalid = top->s_axi_ctrl_wvalid = top->s_axi_ctrl_bready = 0;
        return dram.error.empty() ? result : kBreach;
    }

    int read32(uint32_t address, uint32_t* value) {
        top->s_axi_ctrl_araddr = address;
        top->s_axi_ctrl_arprot = 0;
        top->s_axi_ctrl_arvalid = 1;
        top->s_axi_ctrl_rready = 1;
        int result = kTimeout;
        for (unsigned i = 0; i < kLiteTimeout && result == kTimeout; i++) {
            settle();
            const bool ar = top->s_axi_ctrl_arvalid && top->s_axi_ctrl_arready;
            if (top->s_axi_ctrl_rvalid) {
                result = top->s_axi_ctrl_rresp;
                *value = top->s_axi_ctrl_rdata;
            }
            edge();
            if (ar) top->s_axi_ctrl_arvalid = 0;
        }
        top->s_axi_ctrl_arvalid = top->s_axi_ctrl_rready = 0;
        return dram.error.empty() ? result : kBreach;
    }

    eft::Dram dram;
    uint64_t cycles = 0;
#ifdef EFT_PROBES
    eft::Recorder recorder{7};
#endif
    // Verilator renames ports whose name it keeps for itself.
    bool interrupt() const { return top->__SYM__interrupt; }

private:
    VerilatedContext context;
    std::unique_ptr<EFT_TOP> top;

    void bare_cycle() {
        top->aclk = 0;
        top->eval();
        top->aclk = 1;
        top->eval();
        cycles++;
    }

    void cycle() {
        settle();
        edge();
    }

    void settle() {
        top->aclk = 0;
        top->eval();
    }

// Expands once for each port: the ports of a verilated model are members with names, not an array.
#if EFT_PORTS == 1
#define EACH_PORT(X) X(0)
#elif EFT_PORTS == 2
#define EACH_PORT(X) X(0) X(1)
#elif EFT_PORTS == 3
#define EACH_PORT(X) X(0) X(1) X(2)
#elif EFT_PORTS == 4
#define EACH_PORT(X) X(0) X(1) X(2) X(3)
#else
#error "EFT_PORTS must be 1 to 4"
#endif

#define ADDRESS(i, ch)                                                                                              \
    eft::Address{top->m_axi_##i##_##ch##addr, top->m_axi_##i##_##ch##len, top->m_axi_##i##_##ch##size,              \
                 top->m_axi_##i##_##ch##burst, top->m_axi_##i##_##ch##id}

#define SAMPLE(i)                                                                                                   \
    {                                                                                                               \
        eft::Port& port = dram.port[i];                                                                             \
        if (top->m_axi_##i##_arvalid || port.ar_watched()) port.on_ar(top->m_axi_##i##_arvalid, ADDRESS(i, ar));    \
        if (top->m_axi_##i##_awvalid || port.aw_watched()) port.on_aw(top->m_axi_##i##_awvalid, ADDRESS(i, aw));    \
        port.on_w(top->m_axi_##i##_wvalid, &top->m_axi_##i##_wdata, top->m_axi_##i##_wstrb, top->m_axi_##i##_wlast); \
        port.on_r(top->m_axi_##i##_rready);                                                                         \
        port.on_b(top->m_axi_##i##_bready);                                                                         \
    }

#define DRIVE(i)                                                                                                    \
    {                                                                                                               \
        const eft::Port& port = dram.port[i];                                                                       \
        top->m_axi_##i##_arready = port.ar_ready;                                                                   \
        top->m_axi_##i##_awready = port.aw_ready;                                                                   \
        top->m_axi_##i##_wready = port.w_ready;                                                                     \
        top->m_axi_##i##_rvalid = port.r_valid;                                                                     \
        if (port.r_valid) {                                                                                         \
            static_assert(sizeof(top->m_axi_##i##_rdata) == EFT_BEAT_BYTES, "data width of port " #i);              \
            std::memcpy(&top->m_axi_##i##_rdata, port.r_data, EFT_BEAT_BYTES);                                      \
            top->m_axi_##i##_rlast = port.r_last;                                                                   \
            top->m_axi_##i##_rresp = port.r_resp;                                                                   \
            top->m_axi_##i##_rid = port.r_id;                                                                       \
        }                                                                                                           \
        top->m_axi_##i##_bvalid = port.b_valid;                                                                     \
        top->m_axi_##i##_bresp = port.b_resp;                                                                       \
        top->m_axi_##i##_bid = port.b_id;                                                                           \
    }

#ifdef EFT_PROBES
// In the order of the units' numbers (isa.py).
#define EACH_PROBE(X) X(0, command) X(1, load_x) X(2, load_a) X(3, compute) X(4, vector) X(5, store_0) X(6, store_1)
#define RECORD(i, unit) recorder.sample(i, cycles, top->probe_##unit);

    void record() {
        if (recorder.on()) { EACH_PROBE(RECORD) }
    }
#else
    void record() {}
#endif

    // The rising edge, then the DRAM's answer to what was handed over at it.
    void edge() {
        EACH_PORT(SAMPLE)
        record();
        top->aclk = 1;
        top->eval();
        dram.step();
        EACH_PORT(DRIVE)
        cycles++;
    }

#define CLEAR(i)                                                                                                    \
    top->m_axi_##i##_arready = top->m_axi_##i##_awready = top->m_axi_##i##_wready = 0;                              \
    top->m_axi_##i##_rvalid = top->m_axi_##i##_bvalid = 0;

    void idle_inputs() {
        EACH_PORT(CLEAR)
        top->s_axi_ctrl_awvalid = top->s_axi_ctrl_wvalid = top->s_axi_ctrl_arvalid = 0;
        top->s_axi_ctrl_bready = top->s_axi_ctrl_rready = 0;
    }
};

}  // namespace

extern "C" {

// Returns null where the configuration is for another build, or memory for the DRAM cannot be had.
void* eft_create(const eft::Config* config, uint32_t config_size) {
    if (config_size != sizeof(eft::Config) || config->ports != EFT_PORTS || config->beat_bytes != EFT_BEAT_BYTES)
        return nullptr;
    try {
        return new Harness(*config);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void eft_destroy(Harness* h) { delete h; }
uint8_t* eft_dram(Harness* h) { return h->dram.memory; }
void eft_reset(Harness* h, uint32_t cycles) { h->reset(cycles); }
int eft_read32(Harness* h, uint32_t address, uint32_t* value) { return h->read32(address, value); }
int eft_write32(Harness* h, uint32_t address, uint32_t value, uint32_t strobe) {
    return h->write32(address, value, strobe);
}
int eft_run(Harness* h, uint64_t max_cycles) { return h->run(max_cycles); }
void eft_bench_bare(Harness* h, uint64_t cycles) { h->bare(cycles); }
uint64_t eft_cycles(Harness* h) { return h->cycles; }
int eft_interrupt(Harness* h) { return h->interrupt(); }
const char* eft_protocol_error(Harness* h) { return h->dram.error.c_str(); }
void eft_clear_protocol_error(Harness* h) { h->dram.error.clear(); }
void eft_stall(Harness* h, int reads, int writes) {
    h->dram.stall[0] = reads;
    h->dram.stall[1] = writes;
}
void eft_gaps(Harness* h, uint64_t seed, const uint32_t* chances) {
    h->dram.gap_state = seed;
    std::memcpy(h->dram.gaps, chances, sizeof h->dram.gaps);
}
void eft_fault(Harness* h, uint64_t address, int write, uint32_t response) {
    h->dram.faults.push_back({address, write ? eft::Direction::Write : eft::Direction::Read, uint8_t(response)});
}
void eft_clear_faults(Harness* h) { h->dram.faults.clear(); }
void eft_stats(Harness* h, uint32_t port, eft::PortStats* stats) { *stats = h->dram.port[port].stats; }
#ifdef EFT_PROBES
void eft_record_start(Harness* h) { h->recorder.start(); }
void eft_record_stop(Harness* h) { h->recorder.stop(); }
uint64_t eft_record_size(Harness* h, uint32_t probe) { return h->recorder.channel(probe).words.size(); }
const uint64_t* eft_record_cycles(Harness* h, uint32_t probe) { return h->recorder.channel(probe).cycles.data(); }
const uint32_t* eft_record_words(Harness* h, uint32_t probe) { return h->recorder.channel(probe).words.data(); }
#endif
}
