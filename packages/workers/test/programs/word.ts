export const word: string = 'typed'
