import { describe, expect, it } from '@jest/globals'
import { Detector, type Window } from '../src/detector.ts'
import { planFaults } from '../src/faults.ts'
import { judge } from '../src/hampel.ts'
import { calendarsOf, dayOf, loadReadings, readingId, type Reading } from '../src/readings.ts'

const readings = loadReadings()

describe('the detector', () => {
  it('finds the same in any order, with repetitions', () => {
    const forwards = idsOf(detect(readings))
    expect(forwards.length).toBeGreaterThan(10)
    expect(idsOf(detect([...readings].reverse()))).toEqual(forwards)
    const shuffled = readings.map((_, index) => readings[(index * 1009) % readings.length]!)
    expect(idsOf(detect([...shuffled, ...readings.slice(0, 100)]))).toEqual(forwards)
  })

  it('answers an anomaly when its window is complete, and not before', () => {
    const detector = new Detector([{ station: 'a', firstDate: '2020-01-01', days: 20 }])
    const values = Array.from({ length: 20 }, (_, index) => (index === 2 ? 30 : index % 3))
    const found = values.map((temperature, index) =>
      judgeAll(
        detector,
        detector.record({ station: 'a', date: `2020-01-${String(index + 1).padStart(2, '0')}`, temperature }),
      ),
    )
    const when = found.findIndex((each) => each.length > 0)
    expect(when).toBe(2 + 15)
    expect(found[when]).toMatchObject([{ date: '2020-01-03', kind: 'warm' }])
  })

  it('refuses what nobody expects', () => {
    const detector = new Detector(calendarsOf(readings))
    expect(() => detector.record({ station: 'Atlantis', date: '2012-01-01', temperature: 1 })).toThrow(
      'nobody expects',
    )
    expect(() => detector.record({ station: 'Seattle', date: '1999-01-01', temperature: 1 })).toThrow(
      'not in the calendar',
    )
  })
})

describe('the rule', () => {
  it.each([
    [10, [1, 2, 3, 4, 10], true],
    [5, [1, 2, 3, 4, 5], false],
    [9, [1, 1, 1, 1, 9], false],
  ])('judges %d in %j', (value, window, anomalous) => {
    expect(judge(value, window).anomalous).toBe(anomalous)
  })

  it('knows the days of the calendar', () => {
    expect(dayOf('1970-01-02')).toBe(1)
    expect(dayOf('2013-02-31')).toBeNull()
    expect(dayOf('not a date')).toBeNull()
  })
})

describe('the plan of faults', () => {
  it('follows from the seed', () => {
    const plans = [1, 1, 2].map((seed) => [...planFaults(readings, seed).corrupted.keys()].join())
    expect(plans[0]).toBe(plans[1])
    expect(plans[0]).not.toBe(plans[2])
  })
})

function detect(all: readonly Reading[]) {
  const detector = new Detector(calendarsOf(readings))
  return all.flatMap((reading) => judgeAll(detector, detector.record(reading)))
}

function judgeAll(detector: Detector, windows: readonly Window[]) {
  return windows.flatMap((window) => detector.judged(window, judge(window.temperature, window.around)) ?? [])
}

function idsOf(anomalies: readonly Reading[]): string[] {
  return [...new Set(anomalies.map(readingId))].sort()
}
