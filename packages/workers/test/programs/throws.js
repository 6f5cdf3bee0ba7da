throw new Error('the model file is missing')
