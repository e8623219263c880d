// Which worker a process is, from the variables of launchers and schedulers.

import { expect, it } from 'vitest'
import { addressesOf } from '../../src/distributed/addresses.ts'
import { joinWorkers } from '../../src/distributed/join-workers.ts'
import { placeOf } from '../../src/distributed/place.ts'

const TF_CONFIG = JSON.stringify({ cluster: { chief: ['a:1'], worker: ['b:1', 'c:1'] }, task: { type: 'worker', index: 1 } })
const SLURM = { SLURM_PROCID: '3', SLURM_STEP_NUM_TASKS: '4', SLURM_JOB_ID: '7', SLURM_STEP_NODELIST: 'gpu[08-09],login', SLURM_STEP_TASKS_PER_NODE: '1(x2),2' }
const MPI = { OMPI_COMM_WORLD_RANK: '1', OMPI_COMM_WORLD_SIZE: '2', OMPI_COMM_WORLD_LOCAL_SIZE: '2' }

it.each([
  ['nothing', {}, undefined],
  ['the launcher', { TFJS_PEFT_RANK: '1', TFJS_PEFT_WORKERS: 'a:7000, 10.0.0.1:7000' }, { rank: 1, addresses: ['a:7000', '10.0.0.1:7000'] }],
  ['addresses beside a scheduler', { ...MPI, TFJS_PEFT_WORKERS: 'a:7000,b:7000' }, { rank: 1, addresses: ['a:7000', 'b:7000'] }],
  ['TF_CONFIG with a chief', { TF_CONFIG }, { rank: 2, addresses: ['a:1', 'b:1', 'c:1'] }],
  ['srun', SLURM, { rank: 3, addresses: ['gpu08:20007', 'gpu09:20007', 'login:20007', 'login:20008'] }],
  ['a script of sbatch, which is alone', { SLURM_PROCID: '0', SLURM_NTASKS: '4' }, undefined],
  ['mpirun on one machine', MPI, { rank: 1, addresses: ['127.0.0.1:20005', '127.0.0.1:20006'] }],
  ['mpirun of one process', { ...MPI, OMPI_COMM_WORLD_SIZE: '1' }, undefined],
])('a process knows its place from %s', (_, env, place) => {
  expect(placeOf(env, 5)).toEqual(place)
})

it.each([
  ['a rank beyond the addresses', { TFJS_PEFT_RANK: '2', TFJS_PEFT_WORKERS: 'a:1,b:1' }, /expected a rank from 0 to 1, got 2/],
  ['an address twice, and one without a port', { TFJS_PEFT_RANK: '0', TFJS_PEFT_WORKERS: 'a:1,a:1,b' }, /expected host:port, got "b"[^]*got a:1 twice/],
  ['a TF_CONFIG that is no JSON', { TF_CONFIG: '{' }, /TF_CONFIG is no JSON/],
  ['a TF_CONFIG with parameter servers', { TF_CONFIG: '{"cluster":{"ps":["a:1"],"worker":["b:1"]}}' }, /has a cluster of ps/],
  ['mpirun on several machines without addresses', { ...MPI, OMPI_COMM_WORLD_LOCAL_SIZE: '1' }, /Name all: mpirun -x TFJS_PEFT_WORKERS/],
])('%s is an error that says what to do', (_, env, message) => {
  expect(() => placeOf(env, 5)).toThrow(message)
})

it('a process by itself is one worker, which waits for none', async () => {
  const { rank, count } = await joinWorkers()
  expect([rank, count]).toEqual([0, 1])
  await expect(joinWorkers({ timeout: 0 })).rejects.toThrow('expected a timeout of some seconds, got 0')
  await expect(joinWorkers({ listen: 'a' })).rejects.toThrow('expected an IPv4 address to listen on, got a')
})

it('launch starts so many workers on each of several machines, at ports one behind the other', async () => {
  expect(await addressesOf({ hosts: 'a:7000,b:7000', rank: '1', processes: '2' })).toEqual({ all: ['a:7000', 'a:7001', 'b:7000', 'b:7001'], own: [2, 3] })
  const { all, own } = await addressesOf({ processes: '3' })
  expect([new Set(all).size, own]).toEqual([3, [0, 1, 2]])
  await expect(addressesOf({ hosts: 'a,b:1', processes: '0' })).rejects.toThrow(/--processes: expected an integer of at least 1, got 0[^]*got 'a'[^]*--rank: expected which of the 2 hosts/)
})
