#!/usr/bin/python3
"""run.py CBMC [brief|faults] [NAME] - runs the proofs of tests/proofs, one after the other, as TAP.

Each stands in a prove_*.c behind a comment that begins with "proof:" and says, a line each:

  bound:  N=n (of what), brief N=n                the macro N in the whole form and in the brief one; a
                                                  proof without a brief bound is not run in that form, whose last
                                                  line says whether the texts of all such stand in their files
  small:  N=n                                     the bound at which faults are looked for, if not the brief one
  each:   LEN=0..N                                CBMC is run with each value of this macro; in the brief form with
                                                  the last one
  unwind: 4*LEN+2                                 passes of a loop; if not told LEN+3, or N+3 where there is no LEN
  loops:  f.0:20 g.1:N+1                          other numbers for loops of their own
  checks: conversion unsigned-char                what CBMC checks or supposes beyond what it always does
  limit:  FILE: text                              the file is proved with another text in place of this one,
  with:   text                                    which is the next line
  fault:  FILE: text                              the same in a copy: CBMC has to find that it is wrong

The first text of a limit or a fault stands in the file exactly once: else the proof fails, for it
would show nothing. A fault that is not found fails, too; the brief form leaves them out, and `faults`
is them alone. NAME: a pattern of the names of proofs. The seconds are those of a processor: a proof, and
the search for one fault, has to end within ten minutes of it, else it fails. JOBS of the environment says how
many proofs run at a time, if not one; some take two GiB of memory.
"""
import concurrent.futures as futures
import fnmatch
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, 'tests', 'proofs')
ALWAYS = ['--unwinding-assertions', '--pointer-overflow-check', '--drop-unused-functions', '--slice-formula',
          '--object-bits', '12', '--max-field-sensitivity-array-size', '300']
KEYS = {'bound', 'small', 'each', 'unwind', 'loops', 'checks', 'limit', 'fault', 'with'}
SECONDS = 600


class Wrong(Exception):
    """What keeps a proof from being run, or from showing anything."""


def number(text, n, macros={}):
    return eval(text, {'__builtins__': {}}, {'N': n, **macros})


class Proof:
    def __init__(self, file, name, lines):
        self.file, self.name = file, name
        self.tags, last = {}, None
        for line in lines:
            key, _, value = line.partition(': ')
            if key not in KEYS or (key == 'with') != (last in ('limit', 'fault')):
                raise Wrong(f'{file}: {name}: not understood here: {line}')
            if key == 'with':
                self.tags[last][-1] += ' -> ' + value
            else:
                self.tags.setdefault(key, []).append(value)
            last = key
        if last != 'with':
            raise Wrong(f'{file}: {name}: its last line is to be what a fault has in its text: {last}')
        bound = self.tags.get('bound', [''])[0]
        numbers = [int(n) for n in re.findall(r'\bN=(\d+)', bound)] or [8]
        self.whole, self.brief = numbers[0], numbers[-1]
        small = [int(n) for n in re.findall(r'\bN=(\d+)', ' '.join(self.tags.get('small', [])))]
        self.small = (small or [self.brief])[0]
        self.has_brief = 'brief' in bound

    def changes(self, tag):
        """(file, from, to) of each limit or fault."""
        found = []
        for line in self.tags.get(tag, []):
            file, _, rest = line.partition(': ')
            old, _, new = rest.partition(' -> ')
            found.append((file, old, new))
        return found

    def each(self, n):
        """The value of each run of CBMC, as macros."""
        if 'each' not in self.tags:
            return [{}]
        name, low, high = re.fullmatch(r'(\w+)=(.*)\.\.(.*)', self.tags['each'][0]).groups()
        return [{name: value} for value in range(number(low, n), number(high, n) + 1)]

    def command(self, cbmc, n, macros, include):
        unwind = number(self.tags.get('unwind', ['LEN+3' if 'LEN' in macros else 'N+3'])[0], n, macros)
        command = [cbmc, '--function', self.name, *ALWAYS, '--unwind', str(unwind)]
        loops = [loop.partition(':') for loop in ' '.join(self.tags.get('loops', [])).split()]
        if loops:
            command += ['--unwindset', ','.join(f'{loop}:{number(value, n, macros)}' for loop, _, value in loops)]
        for check in ' '.join(self.tags.get('checks', [])).split():
            command.append('--unsigned-char' if check == 'unsigned-char' else f'--{check}-check')
        for folder in [*include, 'tests/proofs', 'src', 'include']:
            command += ['-I', folder]
        command += [f'-D{name}={value}' for name, value in {'N': n, **macros}.items()]
        return command + ['-D_GNU_SOURCE', self.file]


def read_proofs():
    found = []
    for file in sorted(f for f in os.listdir(HERE) if f.startswith('prove_') and f.endswith('.c')):
        with open(os.path.join(HERE, file)) as f:
            text = f.read()
        for comment in re.findall(r'/\* proof: (.*?)\*/', text, re.S):
            lines = [re.sub(r'^ \* ', '', line) for line in re.sub(r'\n \*   ', ' ', comment).splitlines()]
            lines = [line.strip() for line in lines]
            name = lines[0]
            if not re.search(rf'^void {name}\(void\)', text, re.M):
                raise Wrong(f'{file}: {name} has no function void {name}(void)')
            found.append(Proof(f'tests/proofs/{file}', name, [line for line in lines[1:] if line]))
    return found


def overlay(folder, changes):
    """Writes the changed files, which are found before those of src."""
    texts = {}
    for file, old, new in changes:
        if file not in texts:
            with open(os.path.join(ROOT, file)) as f:
                texts[file] = f.read()
        if texts[file].count(old) != 1:
            raise Wrong(f'{file} has {texts[file].count(old)} times, not once: {old}')
        texts[file] = texts[file].replace(old, new)
    for file, text in texts.items():
        path = os.path.join(folder, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)


def run(proof, cbmc, form, n, changes, work):
    """What CBMC finds, or None; of a fault it finds the first trace alone."""
    began = processor_seconds()
    each = proof.each(n)
    if form == 'fault':
        each.reverse()  # most faults are in the longest text
    elif form == 'brief':
        each = each[-1:]
    with tempfile.TemporaryDirectory(dir=work) as folder:
        overlay(folder, changes)
        include = [os.path.join(folder, 'src'), os.path.join(folder, 'include')] if changes else []
        for macros in each:
            left = max(1, int(SECONDS - (processor_seconds() - began)))
            command = proof.command(cbmc, n, macros, include) + ['--stop-on-fail'] * (form == 'fault')
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (left, left + 5)))
            output = done.stdout + done.stderr
            if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
                raise Wrong(f'CBMC did not end in {SECONDS} s of a processor, at last with {macros}')
            if done.returncode not in (0, 10):
                raise Wrong(output)
            missing = re.findall('no body for callee .*', output)
            if missing:
                raise Wrong('\n'.join(missing))
            if done.returncode == 10:
                return f'{macros}\n{failures(output)}'
    return None


def failures(output):
    return '\n'.join(line for line in output.splitlines() if line.endswith(': FAILURE'))


def see_texts(proof, work):
    """Raises Wrong unless the proof has a fault and each of its texts stands in its file."""
    faults = proof.changes('fault')
    if not faults:
        raise Wrong('no fault is seeded: who says that this proof can fail?')
    for fault in faults:
        overlay(work, proof.changes('limit') + [fault])


def prove(proof, cbmc, form, work):
    """What is wrong, or None."""
    limits = proof.changes('limit')
    see_texts(proof, work)
    if form != 'faults':
        found = run(proof, cbmc, form, proof.brief if form == 'brief' else proof.whole, limits, work)
        if found:
            return found
    for fault in proof.changes('fault') if form != 'brief' else []:
        told = f'the fault {fault[1]} -> {fault[2]} in {fault[0]}'
        try:
            found = run(proof, cbmc, 'fault', proof.small, limits + [fault], work)
        except Wrong as error:
            raise Wrong(f'{told}: {error}') from None
        if not found:
            return f'did not find {told}'
    return None


def timed(task, proof, *arguments):
    """What is wrong, or None, and the seconds of a processor that the children of this process took for it."""
    began = processor_seconds()
    with tempfile.TemporaryDirectory() as work:
        try:
            wrong = task(proof, *arguments, work)
        except Wrong as error:
            wrong = str(error)
    return wrong, processor_seconds() - began


def tell(number, what, wrong):
    print(f"{'not ok' if wrong else 'ok'} {number} - {what}", flush=True)
    if wrong:
        print('\n'.join('# ' + line for line in wrong.splitlines()), flush=True)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    cbmc, arguments = os.path.abspath(sys.argv[1]), sys.argv[2:]
    form = arguments.pop(0) if arguments[:1] in (['brief'], ['faults']) else 'whole'
    pattern = (arguments or ['*'])[0]
    proofs = [proof for proof in read_proofs() if fnmatch.fnmatch(proof.name, pattern)]
    texts_alone = [proof for proof in proofs if form == 'brief' and not proof.has_brief]
    proofs = [proof for proof in proofs if proof not in texts_alone]
    failed = not proofs and not texts_alone
    seconds = faults = 0
    print(f'1..{len(proofs) + bool(texts_alone)}', flush=True)
    jobs = 1 if form == 'brief' else int(os.environ.get('JOBS') or 1)
    with futures.ProcessPoolExecutor(jobs) as pool:
        results = [pool.submit(timed, prove, proof, cbmc, form) for proof in proofs]
        for number, (proof, result) in enumerate(zip(proofs, results), 1):
            wrong, took = result.result()
            n = {'whole': proof.whole, 'brief': proof.brief, 'faults': proof.small}[form]
            bound = f' N={n}' if 'N=' in proof.tags['bound'][0] else ''
            tell(number, f'{proof.name}{bound}, {took:.1f} s', wrong)
            failed |= bool(wrong)
            seconds += took
            faults += len(proof.changes('fault')) if form != 'brief' else 0
    if texts_alone:
        wrong = [(proof.name, timed(see_texts, proof)[0]) for proof in texts_alone]
        wrong = '\n'.join(f'{name}: {text}' for name, text in wrong if text)
        tell(len(proofs) + 1, f'the texts of {len(texts_alone)} others, which `make proofs` proves, stand in their files', wrong)
        failed |= bool(wrong)
    print(f'# {len(proofs)} proofs, {faults} faults, {seconds:.0f} s')
    return 1 if failed else 0


sys.exit(main())
