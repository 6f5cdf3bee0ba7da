export const url = 'redis://host'
