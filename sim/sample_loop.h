// The main loop of a compiled simulation: parameters once, then samples, one after another, over a pipe.
//
// Brian2 generates everything that is model: state updates, thresholds, resets, synapses, queues. This header replaces
// what its generated main() would do with them. It loads parameters from a file, so that one binary serves every network
// of a shape; plays samples that arrive on standard input; puts the network back to its initial state before each; and
// writes each sample's spikes and readout to standard output. All numbers are little-endian, as the machine has them.
//
//   request:   int64 n_steps, int64 with_trace, then per input: int64 n, int32 step[n] (ascending), int32 neuron[n]
//   response:  int64 variable (the first one that is not finite), int64 n, int32 neuron[n] (where it is not; none if all is
//              well); then per population: int64 n, int32 step[n], int32 neuron[n]; then, with trace:
//              float64 trace[n_steps * n_readout]
//
// Brian2's own messages on std::cout go to standard error. What cannot work, however often it is tried, ends the process
// with exit code 3 and a line that says why.

#ifndef SPIKEBRIDGE_SAMPLE_LOOP_H
#define SPIKEBRIDGE_SAMPLE_LOOP_H

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

#include "brianlib/clocks.h"
#include "network.h"
#include "synapses_classes.h"

namespace spikebridge {

class SampleLoop {
  public:
    SampleLoop() {
        // Ctrl-C reaches every process of a terminal; the one at the other end of the pipe decides what it means.
        std::signal(SIGINT, SIG_IGN);
        out_ = dup(STDOUT_FILENO);
        if (out_ < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) fail("cannot redirect standard output:", std::strerror(errno));
        const char *path = std::getenv("SPIKEBRIDGE_PARAMETERS");
        if (!path) fail("SPIKEBRIDGE_PARAMETERS", "is not set");
        file_ = std::fopen(path, "rb");
        if (!file_) fail("cannot open the parameters:", std::strerror(errno));
    }

    // Arrays arrive in the order in which they are loaded; each says how many values it has.
    template <class T> void load(const char *name, T *target, int64_t size) {
        const int64_t found = next(name);
        if (found != size) fail(name, "has another size than this binary was compiled for");
        read_values(name, target, size);
    }

    template <class T> void load(const char *name, std::vector<T> &target) {
        const int64_t size = next(name);
        target.assign(static_cast<size_t>(size), T());
        target.shrink_to_fit();
        if (size) read_values(name, &target[0], size);
    }

    void loaded() {
        if (std::fgetc(file_) != EOF) fail("the file of parameters", "is longer than this binary expects");
        std::fclose(file_);
    }

    // Delays are in the queues by now.
    void release(std::vector<double> &values) { std::vector<double>().swap(values); }

    // An input can play at most `size` spikes in a step.
    void input(std::vector<int32_t> &steps, std::vector<int32_t> &neurons, int32_t *last, int size) {
        inputs_.push_back(Input{&steps, &neurons, last, size});
    }
    void state(double *values, int size) { states_.push_back(State{values, size}); }
    void last_spike(double *times, int size) { last_spikes_.push_back(State{times, size}); }
    void spikes(int32_t *space, int size) { spikes_.push_back(Spikes{space, size, {}, {}}); }
    void pathway(SynapticPathway &path) { pathways_.push_back(&path); }
    void readout(codeobj_func updater, const double *potential, int size) {
        updater_ = updater;
        potential_ = potential;
        n_readout_ = size;
    }

    // Plays samples until standard input ends.
    void serve(Network &network, BaseClock &clock) {
        int64_t header[2];
        while (receive(header, sizeof header, true)) {
            receive_inputs();
            start_over(clock);
            play(network, clock, header[0], header[1] != 0);
            respond();
        }
    }

  private:
    struct Input { std::vector<int32_t> *steps, *neurons; int32_t *last; int size; };
    struct State { double *values; int size; };
    struct Spikes { int32_t *space; int size; std::vector<int32_t> steps, neurons; };

    int out_;
    std::FILE *file_;
    std::vector<Input> inputs_;
    std::vector<State> states_, last_spikes_;
    std::vector<Spikes> spikes_;
    std::vector<SynapticPathway *> pathways_;
    codeobj_func updater_;
    const double *potential_;
    int n_readout_;
    std::vector<double> trace_;

    static void fail(const char *what, const char *why) {
        std::fprintf(stderr, "%s %s\n", what, why);
        std::fflush(stderr);
        _exit(3);
    }

    int64_t next(const char *name) {
        int64_t size;
        if (std::fread(&size, sizeof size, 1, file_) != 1) fail(name, "is missing from the parameters");
        return size;
    }

    template <class T> void read_values(const char *name, T *target, int64_t size) {
        if (std::fread(target, sizeof(T), size, file_) != static_cast<size_t>(size)) fail(name, "is cut off");
    }

    static bool receive(void *target, size_t bytes, bool may_end = false) {
        char *at = static_cast<char *>(target);
        size_t left = bytes;
        while (left) {
            const ssize_t got = read(STDIN_FILENO, at, left);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) fail("cannot read the next sample:", std::strerror(errno));
            if (got == 0) {
                if (may_end && left == bytes) return false;
                fail("a sample", "was cut off");
            }
            at += got;
            left -= got;
        }
        return true;
    }

    void send(const void *source, size_t bytes) const {
        const char *at = static_cast<const char *>(source);
        while (bytes) {
            const ssize_t put = write(out_, at, bytes);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) fail("cannot write the result:", std::strerror(errno));
            at += put;
            bytes -= put;
        }
    }

    void send_values(const std::vector<int32_t> &values) const {
        if (!values.empty()) send(&values[0], values.size() * sizeof values[0]);
    }

    void receive_inputs() {
        for (Input &input : inputs_) {
            int64_t n;
            receive(&n, sizeof n);
            input.steps->resize(n);
            input.neurons->resize(n);
            if (n) {
                receive(&(*input.steps)[0], n * sizeof(int32_t));
                receive(&(*input.neurons)[0], n * sizeof(int32_t));
            }
            require_room(*input.steps, input.size);
        }
    }

    // A generator would write past the end of its array.
    static void require_room(const std::vector<int32_t> &steps, size_t size) {
        for (size_t i = size; i < steps.size(); i++)
            if (steps[i - size] == steps[i]) fail("an input", "has more spikes in a step than this binary has room for");
    }

    // Everything that a sample can leave behind for the next: time, state, refractoriness, inputs not yet played and
    // spikes in flight. The rest is written in every step before it is read: spike spaces by thresholds and generators,
    // not_refractory by the update of the state. Where in its ring a queue of empty slots begins does not matter.
    void start_over(BaseClock &clock) {
        clock.timestep[0] = 0;
        clock.t[0] = 0.0;
        for (State &state : states_) std::fill(state.values, state.values + state.size, 0.0);
        for (State &last : last_spikes_) std::fill(last.values, last.values + last.size, -10000.0);  // as Brian2 does
        for (Input &input : inputs_) *input.last = 0;
        for (Spikes &population : spikes_) {
            population.steps.clear();
            population.neurons.clear();
        }
        for (SynapticPathway *path : pathways_)
            for (CSpikeQueue *queue : path->queue)
                for (std::vector<int32_t> &slot : queue->queue) slot.clear();
        trace_.clear();
    }

    void play(Network &network, BaseClock &clock, int64_t n_steps, bool with_trace) {
        if (with_trace) trace_.reserve(n_steps * n_readout_);
        for (int64_t step = 0; step < n_steps; step++) {
            // All objects run on one clock, which Network::run would find out anew in every step.
            for (const auto &object : network.objects) {
                object.second();
                if (with_trace && object.second == updater_)
                    trace_.insert(trace_.end(), potential_, potential_ + n_readout_);
            }
            for (Spikes &population : spikes_) {
                const int32_t n = population.space[population.size];
                population.steps.insert(population.steps.end(), n, static_cast<int32_t>(step));
                population.neurons.insert(population.neurons.end(), population.space, population.space + n);
            }
            clock.tick();
        }
    }

    void respond() const {
        std::vector<int32_t> bad;
        int64_t variable = 0;
        for (size_t k = 0; k < states_.size() && bad.empty(); k++)
            for (int i = 0; i < states_[k].size; i++)
                if (!std::isfinite(states_[k].values[i])) {
                    variable = k;
                    bad.push_back(i);
                }
        const int64_t finite[2] = {variable, static_cast<int64_t>(bad.size())};
        send(finite, sizeof finite);
        send_values(bad);
        for (const Spikes &population : spikes_) {
            const int64_t n = population.steps.size();
            send(&n, sizeof n);
            send_values(population.steps);
            send_values(population.neurons);
        }
        if (!trace_.empty()) send(&trace_[0], trace_.size() * sizeof trace_[0]);
    }
};

}  // namespace spikebridge

#endif
