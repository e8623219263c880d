import { afterEach, describe, expect, it, vi } from 'vitest'
import { chooseDevice } from '../../src/setup/device.ts'

describe('the device', () => {
  afterEach(() => void vi.unstubAllEnvs())

  it('is the one asked for, else the one in TFJS_PEFT_DEVICE', async () => {
    vi.stubEnv('TFJS_PEFT_DEVICE', 'cuda')
    expect(await chooseDevice('cpu')).toBe('cpu')
    expect(await chooseDevice()).toBe('cuda')
  })

  it('of another name is refused', async () => {
    await expect(chooseDevice('tpu')).rejects.toThrow("Device: expected 'cpu' or 'cuda', got 'tpu'. Correct --device or TFJS_PEFT_DEVICE.")
  })
})
