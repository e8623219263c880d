import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { EngineError } from '../errors.ts'
import { lastLines, runCommand } from './command.ts'

/**
 * The C++ compiler to use: `CXX`, else g++, else clang++.
 *
 * @returns undefined when none of them runs
 */
export async function findCompiler(): Promise<string | undefined> {
  for (const compiler of [process.env['CXX'], 'g++', 'clang++']) {
    if (compiler && (await runCommand(compiler, ['--version'])).ok) return compiler
  }
  return undefined
}

/**
 * Compiles the binding of `@tensorflow/tfjs-node-gpu`, whose source is in the package, against the TensorFlow in
 * `<folder>/tensorflow`, into `<folder>/tfjs_binding.node`. It finds its libraries beside itself, so the
 * folder can be moved. Takes about ten seconds.
 *
 * @param packageFolder folder of `@tensorflow/tfjs-node-gpu`
 * @throws EngineError when there is no compiler, or the source does not compile
 */
export async function compileBinding(packageFolder: string, folder: string, signal: AbortSignal): Promise<void> {
  const compiler = await findCompiler()
  if (compiler === undefined) {
    throw new EngineError(
      'A C++17 compiler is needed to build the engine, and none of CXX, g++ and clang++ runs. Install one: ' +
        '`apt install g++`, `dnf install gcc-c++`, or `xcode-select --install`.',
    )
  }
  // Node-API is the same in every Node version, so its headers come from a package instead of the user's Node.
  const nodeHeaders = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include')
  const mac = process.platform === 'darwin'
  const libraries = ['cc', 'framework'].map((name) =>
    join(folder, 'tensorflow', `libtensorflow_${name}.${mac ? '2.dylib' : 'so.2'}`),
  )
  const result = await runCommand(
    compiler,
    [
      ...['-O2', '-std=c++17', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
      ...(mac ? ['-undefined', 'dynamic_lookup'] : []),
      ...[`-I${nodeHeaders}`, `-I${join(folder, 'tensorflow', 'include')}`, `-I${packageFolder}`],
      ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((source) => join(packageFolder, 'binding', source)),
      ...['-o', join(folder, 'tfjs_binding.node')],
      ...libraries,
      `-Wl,-rpath,${mac ? '@loader_path' : '$ORIGIN'}/tensorflow`,
    ],
    { signal },
  )
  if (!result.ok) {
    throw new EngineError(`The engine's binding did not compile with ${compiler} (${result.ending}):\n${lastLines(result.output, 20)}`)
  }
}
