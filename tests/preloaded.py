"""A process that imports once what takes long, and forks one of its own for each task: a second or two saved each time.

    python preloaded.py MODULE ...

reads tasks from stdin, a line of JSON each: `code` to run, `argv`, `cwd`, `out` and `err` (files for what is printed), and `envs`, the
variables of the environment for one process or more, which run at the same time. When one of them fails, the others are stopped. The
answer is a line of JSON: the exit codes, and the most memory that one of them had, in bytes.
"""
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback


def child(task, env):
    "Run the task in this process, which ends with it."
    code = 1
    try:
        for stream, name in ((1, "out"), (2, "err")): os.dup2(os.open(task[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(task["cwd"])
        sys.path.insert(0, task["cwd"])
        sys.argv = task["argv"]
        exec(compile(task["code"], task["argv"][0], "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as e: code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException: traceback.print_exc()
    for stream in (sys.stdout, sys.stderr): stream.flush()
    os._exit(code)


def carry_out(task):
    "Fork a process for each environment of a task, and wait for all."
    running, codes, memory = {}, [None] * len(task["envs"]), 0
    for i, env in enumerate(task["envs"]):
        if (pid := os.fork()) == 0: child(task, env)
        running[pid] = i
    while running:
        pid, status, used = os.wait4(-1, 0)
        i, memory = running.pop(pid), max(memory, 1024 * used.ru_maxrss)
        codes[i] = os.waitstatus_to_exitcode(status)
        if codes[i]:
            for other in running: os.kill(other, signal.SIGTERM)
    return dict(codes=codes, memory=memory)


class Preloaded:
    "Such a process, as its user sees it."
    def __init__(self, modules, path=()):
        self.path = dict(PYTHONPATH=os.pathsep.join(map(str, path))) if path else {}
        self.process = subprocess.Popen([sys.executable, __file__, *modules], env=os.environ | self.path, text=True, cwd="/",
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, code, argv, cwd, out, changes=({},), err=None):
        """Exit codes, peak memory in bytes, and what was printed; `changes` to the environment, a dict a process.

        Errors are among it, unless they have a file of their own.
        """
        envs = [os.environ | self.path | changed for changed in changes]
        task = dict(code=code, argv=[str(a) for a in argv], cwd=str(cwd), out=str(out), err=str(err or out), envs=envs)
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        with open(out, encoding="utf-8", errors="replace") as f: return done["codes"], done["memory"], f.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


if __name__ == "__main__":
    for name in sys.argv[1:]: importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)
